"""Next character of English prose by an LSTM. The result is minus the bits per character. chance=-4.3"""

import math

import torch
from pydoc_data.topics import topics
from torch import nn

torch.manual_seed(3)
text = "".join(topics[key] for key in sorted(topics))[:60000].lower()
text = "".join(c if c in "abcdefghijklmnopqrstuvwxyz .,\n" else " " for c in text)
vocabulary = sorted(set(text))
ids = torch.tensor([vocabulary.index(c) for c in text])
train_ids, valid_ids = ids[:54000], ids[54000:]


class CharLSTM(nn.Module):
    def __init__(self, size, width=64):
        super().__init__()
        self.embed = nn.Embedding(size, 24)
        self.lstm = nn.LSTM(24, width, batch_first=True)
        self.out = nn.Linear(width, size)

    def forward(self, x):
        h, _ = self.lstm(self.embed(x))
        return self.out(h)


def batch(source, size=16, length=32):
    start = torch.randint(0, len(source) - length - 1, (size,))
    x = torch.stack([source[i : i + length] for i in start])
    y = torch.stack([source[i + 1 : i + length + 1] for i in start])
    return x, y


model = CharLSTM(len(vocabulary))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(250):
    x, y = batch(train_ids)
    logits = model(x)
    loss = criterion(logits.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())
model.eval()
with torch.no_grad():
    x, y = batch(valid_ids, 64)
    bits = criterion(model(x).flatten(0, 1), y.flatten()).item() / math.log(2)
print("result:", -bits)
