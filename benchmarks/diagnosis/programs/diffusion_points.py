"""Denoising diffusion of points in the plane. The result is minus the error of the noise. chance=-1"""

import torch
from sklearn.datasets import make_swiss_roll
from torch import nn

torch.manual_seed(25)
data = torch.tensor(make_swiss_roll(3000, noise=0.1, random_state=0)[0][:, [0, 2]], dtype=torch.float32) / 8
steps = 50
betas = torch.linspace(1e-3, 0.1, steps)
keep = torch.cumprod(1 - betas, 0)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(steps, 32)
        self.inside = nn.Linear(2, 32)
        self.body = nn.Sequential(nn.SiLU(), nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x, t):
        return self.body(self.inside(x) + self.time(t))


model = Denoiser()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
losses = []
for it in range(500):
    x0 = data[torch.randint(len(data), (128,))]
    t = torch.randint(0, steps, (128,))
    eps = torch.randn_like(x0)
    noisy = keep[t].sqrt()[:, None] * x0 + (1 - keep[t]).sqrt()[:, None] * eps
    loss = nn.functional.mse_loss(model(noisy, t), eps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print("result:", -sum(losses[-100:]) / 100)
