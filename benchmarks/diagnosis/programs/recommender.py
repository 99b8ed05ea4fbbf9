"""Ratings by matrix factorisation with embeddings. The result is the share of variance explained. chance=0"""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(9)
users, items = 120, 80
taste, kind = torch.randn(users, 3), torch.randn(items, 3)
u = torch.randint(0, users, (9000,))
i = torch.randint(0, items, (9000,))
rating = 3 + 0.6 * (taste[u] * kind[i]).sum(1) + 0.2 * torch.randn(9000)


class Factorisation(nn.Module):
    def __init__(self, rank=6):
        super().__init__()
        self.user = nn.Embedding(users, rank)
        self.item = nn.Embedding(items, rank)
        self.user_bias = nn.Embedding(users, 1)
        self.item_bias = nn.Embedding(items, 1)
        self.mean = nn.Parameter(torch.tensor(3.0))
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.user_bias, self.item_bias):
            nn.init.zeros_(table.weight)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(1)
        return self.mean + dot + self.user_bias(u)[:, 0] + self.item_bias(i)[:, 0]


model = Factorisation()
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)
for epoch in range(8):
    order = torch.randperm(8000)
    running = 0.0
    for start in range(0, 8000, 128):
        pick = order[start : start + 128]
        prediction = model(u[pick], i[pick])
        loss = F.mse_loss(prediction, rating[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
    with torch.no_grad():
        test = F.mse_loss(model(u[8000:], i[8000:]), rating[8000:])
    print(epoch, running / 63, test.item())
print("result:", 1 - (test / rating[8000:].var()).item())
