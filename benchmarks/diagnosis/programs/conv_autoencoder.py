"""A convolutional autoencoder of digits. The result is the share of variance explained. chance=0"""

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(8)
x = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
x = x[torch.randperm(len(x))]
train_set, test_set = x[:1400], x[1400:]

encoder = nn.Sequential(
    nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()
)
decoder = nn.Sequential(
    nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1)
)
autoencoder = nn.Sequential(encoder, decoder)
optimizer = torch.optim.NAdam(autoencoder.parameters(), lr=3e-3)
criterion = nn.MSELoss()
for epoch in range(8):
    order = torch.randperm(len(train_set))
    for i in range(0, len(order), 32):
        xb = train_set[order[i : i + 32]]
        loss = criterion(autoencoder(xb), xb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    mse = criterion(autoencoder(test_set), test_set)
print("result:", 1 - (mse / ((test_set - train_set.mean(0)) ** 2).mean()).item())
