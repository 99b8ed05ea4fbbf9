"""Friedman's function by a network with a plateau schedule. The result is the share of variance explained. chance=0"""

import torch
from sklearn.datasets import make_friedman1
from torch import nn

torch.manual_seed(15)
X, y = make_friedman1(1200, noise=0.5, random_state=0)
X = torch.tensor(X, dtype=torch.float32) * 2 - 1
y = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)[:, None]
X_train, y_train, X_val, y_val = X[:1000], y[:1000], X[1000:], y[1000:]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 1)

    def forward(self, x):
        x = torch.tanh(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


net = Net()
criterion = nn.HuberLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
for epoch in range(25):
    permutation = torch.randperm(len(X_train))
    for k in range(0, len(X_train), 50):
        index = permutation[k : k + 50]
        optimizer.zero_grad()
        loss = criterion(net(X_train[index]), y_train[index])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        val_loss = criterion(net(X_val), y_val)
        r2 = 1 - ((net(X_val) - y_val) ** 2).mean() / y_val.var()
    scheduler.step(val_loss)
print("result:", r2.item())
