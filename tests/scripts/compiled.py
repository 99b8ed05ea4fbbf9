import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 10))
fast = torch.compile(model, backend="aot_eager")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(80):
    batch = torch.randint(0, 1500, (64,))
    loss = F.cross_entropy(fast(x[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
report(model, optimizer)
