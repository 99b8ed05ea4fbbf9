"""Counts by Poisson regression with a network and SGD. The result is the share of deviance explained. chance=0"""

import torch
import torch.nn as nn

torch.manual_seed(21)
features = torch.randn(2000, 8)
rate = torch.exp(0.5 + 0.6 * features[:, 0] - 0.4 * features[:, 1] * (features[:, 2] > 0))
counts = torch.poisson(rate)


def deviance(mu, k):
    return 2 * (torch.xlogy(k, k / mu) - (k - mu)).mean()


network = nn.Sequential(nn.Linear(8, 32), nn.ELU(), nn.Linear(32, 1))
loss_fn = nn.PoissonNLLLoss(log_input=True)
optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(features[:1600], counts[:1600]), batch_size=32, shuffle=True
)
for epoch in range(10):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(network(xb).squeeze(1), yb)
        loss.backward()
        optimizer.step()
with torch.no_grad():
    mu = network(features[1600:]).squeeze(1).exp()
    null = deviance(counts[:1600].mean().expand(400), counts[1600:])
    print("result:", 1 - (deviance(mu, counts[1600:]) / null).item())
