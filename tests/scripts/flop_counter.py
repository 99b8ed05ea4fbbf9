import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
from torch.utils.flop_counter import FlopCounterMode

x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adamax(model.parameters(), lr=1e-2)
counter = FlopCounterMode(display=False)
with counter:
    for step in range(40):
        batch = torch.randint(0, 1500, (64,))
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item(), counter.get_total_flops())
report(model, optimizer)
