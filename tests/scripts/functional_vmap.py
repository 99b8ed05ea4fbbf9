import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
from torch.func import functional_call, grad, vmap

x, y = digits()
model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
params = {k: v.detach() for k, v in model.named_parameters()}


def sample_loss(params, xi, yi):
    return F.cross_entropy(functional_call(model, params, (xi[None],)), yi[None])


per_sample = vmap(grad(sample_loss), (None, 0, 0))
for step in range(30):
    grads = per_sample(params, x[:64], y[:64])
    params = {k: v - 0.5 * grads[k].mean(0) for k, v in params.items()}
print(sum(v.double().sum().item() for v in params.values()))
report(params)
