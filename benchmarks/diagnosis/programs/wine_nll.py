"""Cultivars of wine: log-softmax with the negative log-likelihood and class weights. chance=0.4"""

import torch
from sklearn.datasets import load_wine
from torch import nn

torch.manual_seed(17)
X, y = load_wine(return_X_y=True)
X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
y = torch.tensor(y)
order = torch.randperm(len(y))
train, test = order[:130], order[130:]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(13, 24)
        self.output = nn.Linear(24, 3)

    def forward(self, x):
        x = torch.sigmoid(self.hidden(x))
        return torch.log_softmax(self.output(x), dim=1)


model = Classifier()
weights = torch.bincount(y[train]).float().reciprocal()
criterion = nn.NLLLoss(weight=weights / weights.mean())
optimizer = torch.optim.Adamax(model.parameters(), lr=2e-2)
for epoch in range(30):
    shuffled = train[torch.randperm(len(train))]
    for start in range(0, len(shuffled), 16):
        batch = shuffled[start : start + 16]
        log_probabilities = model(X[batch])
        loss = criterion(log_probabilities, y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("result:", (model(X[test]).argmax(1) == y[test]).float().mean().item())
