"""Contrastive learning of digits (NT-Xent). The result is the accuracy of the nearest neighbour. chance=0.1"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(11)
digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 16
y = torch.tensor(digits.target)


def augment(batch):
    keep = (torch.rand_like(batch) > 0.2).float()
    return batch * keep + 0.1 * torch.randn_like(batch)


def nt_xent(a, b, temperature=0.2):
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(-1e9)
    n = len(a)
    partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(similarity, partner)


backbone = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
head = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))
parameters = [*backbone.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=2e-3)
for step in range(250):
    batch = x[:1300][torch.randint(1300, (64,))]
    loss = nt_xent(head(backbone(augment(batch))), head(backbone(augment(batch))))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    known, new = F.normalize(backbone(x[:1300])), F.normalize(backbone(x[1300:]))
    hit = y[:1300][(new @ known.T).argmax(1)] == y[1300:]
print("result:", hit.float().mean().item())
