import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
table, head = nn.EmbeddingBag(17 * 64, 16, mode="mean", sparse=True), nn.Linear(16, 10)
opt_table = torch.optim.SparseAdam(table.parameters(), lr=1e-2)
opt_head = torch.optim.Adam(head.parameters(), lr=1e-2)
for step in range(80):
    batch = torch.randint(0, 1500, (64,))
    index = (x[batch] * 16).long() + 17 * torch.arange(64)
    loss = F.cross_entropy(head(table(index)), y[batch])
    opt_table.zero_grad()
    opt_head.zero_grad()
    loss.backward()
    opt_table.step()
    opt_head.step()
print(loss.item())
report(table, head, opt_table, opt_head)
