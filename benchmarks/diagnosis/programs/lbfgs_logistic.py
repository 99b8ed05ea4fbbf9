"""Multinomial regression of iris by L-BFGS with a closure. chance=0.33"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_iris

torch.manual_seed(29)
x, y = load_iris(return_X_y=True)
x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
y = torch.tensor(y)
order = torch.randperm(150)
train, test = order[:100], order[100:]
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)


def closure():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x[train]), y[train]) + 1e-3 * model.weight.pow(2).sum()
    loss.backward()
    return loss


for iteration in range(30):
    value = optimizer.step(closure)
    if iteration % 10 == 0:
        print(iteration, value.item())
with torch.no_grad():
    print("result:", (model(x[test]).argmax(1) == y[test]).float().mean().item())
