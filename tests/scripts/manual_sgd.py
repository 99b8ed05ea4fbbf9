import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
x, y = digits()
w1 = (torch.randn(64, 32) * 0.1).requires_grad_()
w2 = (torch.randn(32, 10) * 0.1).requires_grad_()
for step in range(150):
    batch = torch.randint(0, 1500, (64,))
    loss = F.nll_loss(F.log_softmax(torch.relu(x[batch] @ w1) @ w2, dim=1), y[batch])
    loss.backward()
    with torch.no_grad():
        for w in (w1, w2):
            w -= 0.5 * w.grad
            w.grad = None
print(loss.item())
report(w1, w2)
