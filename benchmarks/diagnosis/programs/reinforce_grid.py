"""REINFORCE with a baseline on a corridor. The result is the mean return. chance=-0.2"""

import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(12)
length, horizon = 7, 20


def one_hot(position):
    state = torch.zeros(length)
    state[position] = 1
    return state


policy = nn.Sequential(nn.Linear(length, 32), nn.Tanh(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
baseline, returns = 0.0, []
for episode in range(250):
    position, log_probs, reward = length // 2, [], 0.0
    for t in range(horizon):
        choice = Categorical(logits=policy(one_hot(position)))
        action = choice.sample()
        log_probs.append(choice.log_prob(action))
        position += 1 if action.item() == 1 else -1
        reward -= 0.02
        if position in (0, length - 1):
            reward += 1.0 if position else -1.0
            break
        position = max(0, min(length - 1, position))
    returns.append(reward)
    loss = -(reward - baseline) * torch.stack(log_probs).sum()
    baseline = 0.9 * baseline + 0.1 * reward
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("result:", sum(returns[-50:]) / 50)
