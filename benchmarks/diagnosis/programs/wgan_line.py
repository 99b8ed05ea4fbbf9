"""A Wasserstein GAN with gradient penalty on a line. The result is minus the error of mean and spread. chance=-2.5"""

import torch
from torch import nn

torch.manual_seed(32)


def sample_real(n):
    return 2 + 0.5 * torch.randn(n, 1)


G = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
D = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
g_optimizer = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.0, 0.9))
d_optimizer = torch.optim.Adam(D.parameters(), lr=5e-3, betas=(0.0, 0.9))
for iteration in range(300):
    for _ in range(3):
        real, fake = sample_real(64), G(torch.randn(64, 2)).detach()
        mix = torch.rand(64, 1)
        between = (mix * real + (1 - mix) * fake).requires_grad_()
        slope = torch.autograd.grad(D(between).sum(), between, create_graph=True)[0]
        critic_loss = D(fake).mean() - D(real).mean() + ((slope.norm(dim=1) - 1) ** 2).mean()
        d_optimizer.zero_grad()
        critic_loss.backward()
        d_optimizer.step()
    generator_loss = -D(G(torch.randn(64, 2))).mean()
    g_optimizer.zero_grad()
    generator_loss.backward()
    g_optimizer.step()
with torch.no_grad():
    drawn = G(torch.randn(2000, 2))
print("result:", -abs(drawn.std().item() - 0.5) - abs(drawn.mean().item() - 2))
