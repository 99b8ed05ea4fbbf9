"""Communities of a random graph by two graph convolutions, all nodes in each step. chance=0.33"""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(27)
n, classes = 240, 3
label = torch.arange(n) % classes
same = label[:, None] == label[None]
edges = (torch.rand(n, n) < torch.where(same, 0.08, 0.01)).triu(1).float()
adjacency = edges + edges.T + torch.eye(n)
scale = adjacency.sum(1).rsqrt()
adjacency = scale[:, None] * adjacency * scale[None]
x = torch.randn(n, 16) + 0.5 * F.one_hot(label, 16)
train_mask = torch.rand(n) < 0.3


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(16, 32)
        self.w2 = nn.Linear(32, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, a, x):
        h = self.dropout(F.relu(a @ self.w1(x)))
        return F.log_softmax(a @ self.w2(h), dim=1)


model = GCN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(200):
    model.train()
    optimizer.zero_grad()
    output = model(adjacency, x)
    loss = F.nll_loss(output[train_mask], label[train_mask])
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0:
        model.eval()
        with torch.no_grad():
            output = model(adjacency, x)
            print(epoch, F.nll_loss(output[~train_mask], label[~train_mask]).item())
model.eval()
with torch.no_grad():
    print("result:", (model(adjacency, x).argmax(1) == label)[~train_mask].float().mean().item())
