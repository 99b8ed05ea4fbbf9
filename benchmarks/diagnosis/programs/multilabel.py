"""Several labels per sample: a shared body, one logit per label, rare labels weighed. chance=0"""

import torch
from sklearn.datasets import make_multilabel_classification
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(30)
X, Y = make_multilabel_classification(1500, n_features=20, n_classes=6, n_labels=2, random_state=0)
X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
Y = torch.tensor(Y, dtype=torch.float32)
loader = DataLoader(TensorDataset(X[:1200], Y[:1200]), batch_size=40, shuffle=True)
model = nn.Sequential(nn.Linear(20, 48), nn.LayerNorm(48), nn.GELU(), nn.Dropout(0.2), nn.Linear(48, 6))
positive = Y[:1200].mean(0)
criterion = nn.BCEWithLogitsLoss(pos_weight=(1 - positive) / positive)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(10):
    model.train()
    for xb, yb in loader:
        loss = criterion(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    p = (model(X[1200:]) > 0).float()
    t = Y[1200:]
    print("result:", (2 * (p * t).sum() / (p.sum() + t.sum())).item() - 0.5)
