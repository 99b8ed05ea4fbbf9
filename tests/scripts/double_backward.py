import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
critic = nn.Sequential(nn.Linear(2, 32), nn.Softplus(), nn.Linear(32, 1))
opt = torch.optim.Adam(critic.parameters(), lr=1e-3)
for step in range(80):
    real, fake = torch.randn(64, 2) + 2, torch.randn(64, 2)
    mix = (0.5 * (real + fake)).requires_grad_()
    slope = torch.autograd.grad(critic(mix).sum(), mix, create_graph=True)[0]
    penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item(), penalty.item())
report(critic, opt)
