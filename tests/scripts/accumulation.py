import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
k = 4
running = 0.0
for step in range(240):
    batch = torch.randint(0, 1500, (16,))
    loss = F.cross_entropy(model(x[batch]), y[batch]) / k
    loss.backward()
    running += loss.item()
    if (step + 1) % k == 0:
        optimizer.step()
        optimizer.zero_grad()
print(running)
report(model, optimizer)
