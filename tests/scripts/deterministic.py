import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
x, y = digits()
model = nn.Sequential(nn.Embedding(17, 8), nn.Flatten(), nn.Linear(64 * 8, 10))

dense = torch.optim.NAdam(model.parameters(), lr=1e-2)
for step in range(60):
    batch = torch.randint(0, 1500, (64,))
    loss = F.cross_entropy(model((x[batch] * 16).long()), y[batch])
    dense.zero_grad()
    loss.backward()
    dense.step()
print(loss.item())
report(model, dense)
