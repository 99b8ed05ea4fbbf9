import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
def mlp(i, o):
    return nn.Sequential(nn.Linear(i, 32), nn.LeakyReLU(0.2), nn.Linear(32, o))


G, D = mlp(8, 2), mlp(2, 1)
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999))
bce = nn.BCEWithLogitsLoss()
ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
for step in range(150):
    angle = torch.rand(64) * 6.2832
    real = torch.stack([angle.cos(), angle.sin()], 1)
    fake = G(torch.randn(64, 8))
    opt_d.zero_grad()
    err_real = bce(D(real), ones)
    err_real.backward()
    err_fake = bce(D(fake.detach()), zeros)
    err_fake.backward()
    opt_d.step()
    opt_g.zero_grad()
    err_g = bce(D(fake), ones)
    err_g.backward()
    opt_g.step()
print(f"{err_real + err_fake:.6f} {err_g:.6f}")
report(G, D, opt_g, opt_d)
