import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
x, y = digits()
rnn, head = nn.GRU(8, 24, batch_first=True), nn.Linear(24, 10)
params = [*rnn.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(params, lr=5e-3, amsgrad=True)
for step in range(80):
    batch = torch.randint(0, 1500, (64,))
    out, _ = rnn(x[batch].double().view(-1, 8, 8))
    loss = F.cross_entropy(head(out[:, -1]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(params, 0.5)
    optimizer.step()
print(loss.item())
report(rnn, head, optimizer)
