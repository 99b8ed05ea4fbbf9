"""A coupling flow on two moons by maximum likelihood. The result is the mean log-likelihood. chance=-2.4"""

import math

import torch
from sklearn.datasets import make_moons
from torch import nn

torch.manual_seed(24)
points = torch.tensor(make_moons(3000, noise=0.08, random_state=0)[0], dtype=torch.float32)
points = (points - points.mean(0)) / points.std(0)


class Coupling(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.first = first
        self.net = nn.Sequential(nn.Linear(1, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, x):
        a, b = x[:, self.first : self.first + 1], x[:, 1 - self.first : 2 - self.first]
        s, t = self.net(a).chunk(2, 1)
        s = torch.tanh(s)
        b = b * s.exp() + t
        return torch.cat([a, b] if self.first == 0 else [b, a], 1), s.sum(1)


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Coupling(i % 2) for i in range(4)])

    def log_prob(self, x):
        total = 0.0
        for layer in self.layers:
            x, s = layer(x)
            total = total + s
        return total - 0.5 * (x**2).sum(1) - math.log(2 * math.pi)


flow = Flow()
optimizer = torch.optim.Adam(flow.parameters(), lr=2e-3)
for step in range(350):
    batch = points[torch.randint(2500, (128,))]
    loss = -flow.log_prob(batch).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print("result:", flow.log_prob(points[2500:]).mean().item())
