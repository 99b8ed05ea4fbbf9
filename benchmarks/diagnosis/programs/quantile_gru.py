"""Quantiles of the next value of a noisy wave by a GRU, pinball loss. The result is minus the loss. chance=-0.33"""

import torch
from torch import nn

torch.manual_seed(34)
time = torch.arange(3000) * 0.15
series = torch.sin(time) + 0.5 * torch.sin(0.37 * time) + 0.15 * torch.randn(3000)
windows = series.unfold(0, 21, 1)
inputs, nxt = windows[:, :20, None], windows[:, 20]
quantiles = torch.tensor([0.1, 0.5, 0.9])


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 24, batch_first=True)
        self.out = nn.Linear(24, 3)

    def forward(self, x):
        return self.out(self.gru(x)[0][:, -1])


def pinball(prediction, target):
    error = target[:, None] - prediction
    return torch.maximum(quantiles * error, (quantiles - 1) * error).mean()


model = Forecaster()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
for epoch in range(8):
    order = torch.randperm(2400)
    for i in range(0, 2400, 64):
        pick = order[i : i + 64]
        loss = pinball(model(inputs[pick]), nxt[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scheduler.step()
with torch.no_grad():
    print("result:", -pinball(model(inputs[2400:]), nxt[2400:]).item())
