"""A frozen backbone, trained on five digits, and a new head for the other five. chance=0.2"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(23)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
low, high = y < 5, y >= 5
backbone = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
old_head = nn.Linear(64, 5)
criterion = nn.CrossEntropyLoss()
pretraining = torch.optim.Adam([*backbone.parameters(), *old_head.parameters()], lr=1e-3)
for epoch in range(8):
    for xb, yb in DataLoader(TensorDataset(x[low], y[low]), batch_size=32, shuffle=True):
        pretraining.zero_grad()
        criterion(old_head(backbone(xb)), yb).backward()
        pretraining.step()

for p in backbone.parameters():
    p.requires_grad = False
head = nn.Linear(64, 5)
model = nn.Sequential(backbone, head)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
xs, ys = x[high], y[high] - 5
loader = DataLoader(TensorDataset(xs[:700], ys[:700]), batch_size=32, shuffle=True)
for epoch in range(12):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("result:", (model(xs[700:]).argmax(1) == ys[700:]).float().mean().item())
