"""Mean and variance of a noisy curve by likelihood. The result is the mean log-likelihood. chance=-1.1"""

import torch
from torch import nn

torch.manual_seed(20)
x = 4 * torch.rand(1500, 1) - 2
noise = 0.05 + 0.2 * x.abs()
y = torch.sin(2 * x) + noise * torch.randn_like(x)


class Heteroscedastic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.mean = nn.Linear(64, 1)
        self.raw = nn.Linear(64, 1)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), nn.functional.softplus(self.raw(h)) + 1e-4


model = Heteroscedastic()
criterion = nn.GaussianNLLLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(25):
    order = torch.randperm(1200)
    for i in range(0, 1200, 64):
        pick = order[i : i + 64]
        mean, var = model(x[pick])
        loss = criterion(mean, y[pick], var)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    mean, var = model(x[1200:])
    print("result:", -criterion(mean, y[1200:], var).item())
