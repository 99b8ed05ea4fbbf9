"""A small network that learns from a larger one (temperature 3) on digits. chance=0.1"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(22)
d = load_digits()
x, y = torch.tensor(d.data, dtype=torch.float32) / 16, torch.tensor(d.target)
x_train, y_train, x_test, y_test = x[:1300], y[:1300], x[1300:], y[1300:]
teacher = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
student = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def batches(size=64):
    order = torch.randperm(len(x_train))
    for i in range(0, len(order), size):
        yield x_train[order[i : i + size]], y_train[order[i : i + size]]


teacher_optimizer = torch.optim.Adam(teacher.parameters(), lr=3e-3)
for epoch in range(6):
    for xb, yb in batches():
        teacher_optimizer.zero_grad()
        F.cross_entropy(teacher(xb), yb).backward()
        teacher_optimizer.step()
teacher.requires_grad_(False)

T, alpha = 3.0, 0.7
optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
for epoch in range(12):
    for xb, yb in batches():
        logits = student(xb)
        soft = F.kl_div(F.log_softmax(logits / T, 1), F.softmax(teacher(xb) / T, 1), reduction="batchmean") * T * T
        loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("result:", (student(x_test).argmax(1) == y_test).float().mean().item())
