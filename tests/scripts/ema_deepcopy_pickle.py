import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
import copy
import io

x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
ema = copy.deepcopy(model)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
for step in range(60):
    batch = torch.randint(0, 1500, (64,))
    loss = F.cross_entropy(model(x[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for a, b in zip(ema.parameters(), model.parameters()):
            a.lerp_(b, 0.1)
    if step % 20 == 0:
        buffer = io.BytesIO()
        torch.save({"model": model, "optimizer": optimizer, "loss": loss.detach()}, buffer)
        buffer.seek(0)
        again = torch.load(buffer, weights_only=False)
        print(step, len(buffer.getvalue()), type(again["model"]).__name__)
        model = copy.deepcopy(model)
        optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
report(model, ema, optimizer)
