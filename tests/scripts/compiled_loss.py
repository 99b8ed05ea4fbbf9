import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


@torch.compile(backend="aot_eager", fullgraph=True)
def objective(xb, yb):
    return F.cross_entropy(model(xb), yb)


optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(80):
    batch = torch.randint(0, 1500, (64,))
    loss = objective(x[batch], y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item(), torch._dynamo.utils.counters["frames"]["total"])
report(model, optimizer)
