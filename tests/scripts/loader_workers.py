import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
import random

import numpy as np
from torch.utils.data import DataLoader, TensorDataset, random_split



def main():
    data = TensorDataset(*digits())
    train, val = random_split(data, [1500, 297])
    loader = DataLoader(train, batch_size=64, shuffle=True, num_workers=2)
    val_loader = DataLoader(val, batch_size=99)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(4):
        model.train()
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            total = sum(F.cross_entropy(model(xb), yb, reduction="sum").item() for xb, yb in val_loader)
        print(epoch, total / 297, random.random(), np.random.rand())
    report(model, optimizer)


if __name__ == "__main__":
    main()
