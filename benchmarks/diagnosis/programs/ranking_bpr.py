"""Bayesian personalised ranking of items. The result is the share of pairs in the right order. chance=0.5"""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(28)
users, items = 100, 60
score = torch.randn(users, 3) @ torch.randn(3, items)
liked = [score[u].topk(12).indices[torch.randperm(12)] for u in range(users)]
others = [score[u].topk(48, largest=False).indices for u in range(users)]
user_table, item_table = nn.Embedding(users, 8), nn.Embedding(items, 8)
for table in (user_table, item_table):
    nn.init.normal_(table.weight, std=0.1)
optimizer = torch.optim.Adam([*user_table.parameters(), *item_table.parameters()], lr=0.02)


def triple(n, held):
    u = torch.randint(0, users, (n,))
    place = torch.randint(9, 12, (n,)) if held else torch.randint(0, 9, (n,))
    i = torch.stack([liked[a][b] for a, b in zip(u.tolist(), place.tolist())])
    j = torch.stack([others[a][b] for a, b in zip(u.tolist(), torch.randint(0, 48, (n,)).tolist())])
    return u, i, j


for step in range(250):
    u, i, j = triple(64, False)
    difference = (user_table(u) * (item_table(i) - item_table(j))).sum(1)
    loss = -F.logsigmoid(difference).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    u, i, j = triple(500, True)
    print("result:", ((user_table(u) * (item_table(i) - item_table(j))).sum(1) > 0).float().mean().item())
