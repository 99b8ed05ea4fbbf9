"""Skip-gram with negative sampling on the documentation of Python. The result is minus the loss. chance=-4.2"""

import re
from collections import Counter

import torch
import torch.nn.functional as F
from pydoc_data.topics import topics
from torch import nn

torch.manual_seed(33)
words = re.findall(r"[a-z]+", " ".join(topics[k] for k in sorted(topics)).lower())[:20000]
common = [w for w, _ in Counter(words).most_common(300)]
number = {w: k for k, w in enumerate(common)}
ids = torch.tensor([number[w] for w in words if w in number])


class SkipGram(nn.Module):
    def __init__(self, size, dim=24):
        super().__init__()
        self.centre = nn.Embedding(size, dim)
        self.context = nn.Embedding(size, dim)
        nn.init.uniform_(self.centre.weight, -0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.context.weight)

    def forward(self, c, o, negative):
        v = self.centre(c)
        right = F.logsigmoid((v * self.context(o)).sum(1))
        wrong = F.logsigmoid(-(self.context(negative) @ v[:, :, None]).squeeze(2)).sum(1)
        return -(right + wrong).mean()


model = SkipGram(len(common))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
tail = []
for step in range(500):
    position = torch.randint(3, len(ids) - 3, (128,))
    shift = torch.randint(1, 4, (128,)) * (2 * torch.randint(0, 2, (128,)) - 1)
    negative = ids[torch.randint(len(ids), (128, 5))]
    loss = model(ids[position], ids[position + shift], negative)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    tail.append(loss.item())
print("result:", -sum(tail[-50:]) / 50)
