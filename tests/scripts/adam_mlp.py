import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(120):
    batch = torch.randint(0, 1500, (64,))
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x[batch]), y[batch])
    loss.backward()
    optimizer.step()
    if step % 40 == 0:
        print(step, loss.item())
report(model, optimizer)
