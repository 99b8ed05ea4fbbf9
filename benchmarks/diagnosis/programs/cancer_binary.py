"""Breast cancer by a binary classifier. chance=0.63"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(16)


class Cells(Dataset):
    def __init__(self, part):
        x, y = load_breast_cancer(return_X_y=True)
        x = (x - x.mean(0)) / x.std(0)
        keep = slice(0, 450) if part == "train" else slice(450, None)
        self.x = torch.tensor(x[keep], dtype=torch.float32)
        self.y = torch.tensor(y[keep], dtype=torch.float32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


train_loader = DataLoader(Cells("train"), batch_size=16, shuffle=True)
test_loader = DataLoader(Cells("test"), batch_size=64)
model = nn.Sequential(nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(8):
    model.train()
    for features, label in train_loader:
        optimizer.zero_grad()
        logits = model(features).squeeze(1)
        loss = criterion(logits, label)
        loss.backward()
        optimizer.step()
    model.eval()
    right = 0
    with torch.no_grad():
        for features, label in test_loader:
            logits = model(features).squeeze(1)
            right += ((logits > 0).float() == label).sum().item()
    print(epoch, loss.item(), right / 119)
print("result:", right / 119)
