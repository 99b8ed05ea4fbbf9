import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
import traceback

x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    loss = F.cross_entropy(model(x[:256]), y[:256])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 20:
        try:
            loss.backward()
        except RuntimeError:
            print(traceback.format_exc())
        try:
            F.cross_entropy(model(x[:4]), torch.tensor([0, 1, 2, 12]))
        except IndexError:
            print(traceback.format_exc())
print(loss.item())
report(model, optimizer)
