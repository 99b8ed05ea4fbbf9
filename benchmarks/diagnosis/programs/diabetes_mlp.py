"""Progression of diabetes by a small regression network. The result is the share of variance explained. chance=0"""

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(14)
features, target = load_diabetes(return_X_y=True)
xtr, xte, ytr, yte = train_test_split(features, target, test_size=0.25, random_state=0)
scaler = StandardScaler().fit(xtr)
xtr = torch.tensor(scaler.transform(xtr), dtype=torch.float32)
xte = torch.tensor(scaler.transform(xte), dtype=torch.float32)
mean, std = ytr.mean(), ytr.std()
ytr = torch.tensor((ytr - mean) / std, dtype=torch.float32).unsqueeze(1)
yte = torch.tensor((yte - mean) / std, dtype=torch.float32).unsqueeze(1)

model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-3)
loss_function = nn.MSELoss()
train_loader = DataLoader(TensorDataset(xtr, ytr), batch_size=16, shuffle=True)
for epoch in range(12):
    model.train()
    for xb, yb in train_loader:
        optimizer.zero_grad()
        prediction = model(xb)
        loss = loss_function(prediction, yb)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val = loss_function(model(xte), yte)
    print("epoch", epoch, "train", loss.item(), "val", val.item())
print("result:", 1 - val.item() / yte.var().item())
