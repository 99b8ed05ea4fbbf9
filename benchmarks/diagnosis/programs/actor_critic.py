"""Advantage actor-critic with an entropy bonus on a small grid. The result is the mean return. chance=-0.3"""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(31)
SIDE, GOAL, MOVES = 4, 15, [(-1, 0), (1, 0), (0, -1), (0, 1)]
eye = torch.eye(SIDE * SIDE)


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(16, 64)
        self.actor = nn.Linear(64, 4)
        self.critic = nn.Linear(64, 1)

    def forward(self, s):
        h = F.relu(self.body(s))
        return self.actor(h), self.critic(h).squeeze(-1)


def move(s, a):
    r, c = divmod(s, SIDE)
    r, c = min(max(r + MOVES[a][0], 0), SIDE - 1), min(max(c + MOVES[a][1], 0), SIDE - 1)
    return r * SIDE + c


agent = ActorCritic()
optimizer = torch.optim.Adam(agent.parameters(), lr=5e-3)
history = []
for episode in range(220):
    s, states, actions, rewards = 0, [], [], []
    for _ in range(25):
        with torch.no_grad():
            logits, _v = agent(eye[s])
        a = int(torch.multinomial(logits.softmax(-1), 1))
        nxt = move(s, a)
        states.append(s)
        actions.append(a)
        rewards.append(1.0 if nxt == GOAL else -0.02)
        s = nxt
        if s == GOAL:
            break
    history.append(sum(rewards))
    returns, running = [], 0.0
    for r in reversed(rewards):
        running = r + 0.95 * running
        returns.insert(0, running)
    goal = torch.tensor(returns)
    logits, value = agent(eye[states])
    dist = torch.distributions.Categorical(logits=logits)
    advantage = goal - value.detach()
    policy_loss = -(dist.log_prob(torch.tensor(actions)) * advantage).mean()
    value_loss = F.mse_loss(value, goal)
    loss = policy_loss + 0.5 * value_loss - 0.01 * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
    optimizer.step()
print("result:", sum(history[-40:]) / 40)
