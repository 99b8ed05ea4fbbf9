"""Q-learning with replay and a target network on a corridor. The result is the share of right moves. chance=0.5"""

import copy
import random

import torch
import torch.nn.functional as F
from torch import nn

random.seed(1)
torch.manual_seed(13)
n, gamma = 8, 0.9
states = torch.eye(n)
q_net = nn.Sequential(nn.Linear(n, 32), nn.ReLU(), nn.Linear(32, 2))
target_net = copy.deepcopy(q_net)
optimizer = torch.optim.Adam(q_net.parameters(), lr=3e-3)
memory, s = [], 0
for step in range(600):
    a = random.randrange(2) if random.random() < 0.3 else q_net(states[s]).argmax().item()
    nxt = min(n - 1, s + 1) if a == 1 else max(0, s - 1)
    done = nxt == n - 1
    memory.append((s, a, 1.0 if done else -0.01, nxt, done))
    s = random.randrange(n - 1) if done or step % 15 == 0 else nxt
    if len(memory) < 32:
        continue
    batch = random.sample(memory, 32)
    st, ac, rw, nx, dn = (torch.tensor(column) for column in zip(*batch))
    with torch.no_grad():
        goal = rw + gamma * target_net(states[nx]).max(1).values * (~dn)
    value = q_net(states[st]).gather(1, ac[:, None]).squeeze(1)
    loss = F.smooth_l1_loss(value, goal)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        target_net.load_state_dict(q_net.state_dict())
with torch.no_grad():
    print("result:", (q_net(states[:-1]).argmax(1) == 1).float().mean().item())
