"""Reversing padded sequences by an encoder and decoder with attention. The result is the accuracy. chance=0.12"""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(19)
PAD, BOS, SIZE, LONGEST = 0, 1, 12, 10


def make(n):
    source = torch.full((n, LONGEST), PAD)
    target = torch.full((n, LONGEST), PAD)
    for k in range(n):
        length = int(torch.randint(2, LONGEST // 2 + 1, (1,)))
        word = torch.randint(2, SIZE, (length,))
        source[k, :length] = word
        target[k, :length] = word.flip(0)
    return source, target


class Seq2Seq(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.embed = nn.Embedding(SIZE, d, padding_idx=PAD)
        self.encoder = nn.GRU(d, d, batch_first=True)
        self.decoder = nn.GRU(d, d, batch_first=True)
        self.out = nn.Linear(2 * d, SIZE)

    def forward(self, source, target):
        memory, state = self.encoder(self.embed(source))
        given = torch.cat([torch.full((len(target), 1), BOS), target[:, :-1]], 1)
        h, _ = self.decoder(self.embed(given), state)
        weights = (h @ memory.transpose(1, 2)).masked_fill((source == PAD)[:, None], -1e9).softmax(-1)
        return self.out(torch.cat([h, weights @ memory], -1))


model = Seq2Seq()
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(300):
    source, target = make(32)
    logits = model(source, target)
    loss = criterion(logits.reshape(-1, SIZE), target.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
with torch.no_grad():
    source, target = make(200)
    kept = target != PAD
    print("result:", (model(source, target).argmax(-1)[kept] == target[kept]).float().mean().item())
