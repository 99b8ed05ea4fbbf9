"""Metric learning on digits with triplets. The result is the accuracy of the nearest neighbour. chance=0.1"""

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(10)
data = load_digits()
x = torch.tensor(data.data, dtype=torch.float32) / 16
y = torch.tensor(data.target)
by_class = [x[:1300][y[:1300] == c] for c in range(10)]

encoder = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 16))
loss_fn = nn.TripletMarginLoss(margin=1.0)
optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)


def triplets(n=64):
    a, p, q = [], [], []
    for _ in range(n):
        c, d = torch.randperm(10)[:2].tolist()
        first, second = torch.randint(len(by_class[c]), (2,)).tolist()
        a.append(by_class[c][first])
        p.append(by_class[c][second])
        q.append(by_class[d][torch.randint(len(by_class[d]), (1,)).item()])
    return torch.stack(a), torch.stack(p), torch.stack(q)


for step in range(250):
    anchor, positive, negative = triplets()
    loss = loss_fn(encoder(anchor), encoder(positive), encoder(negative))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    known, new = encoder(x[:1300]), encoder(x[1300:])
    nearest = torch.cdist(new, known).argmin(1)
print("result:", (y[:1300][nearest] == y[1300:]).float().mean().item())
