"""Which of two modules a line of source comes from, by a bidirectional GRU over padded characters. chance=0.5"""

import argparse
import random
import textwrap

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

random.seed(0)
torch.manual_seed(4)


def lines(module):
    with open(module.__file__) as file:
        return [line.strip() for line in file if len(line.strip()) > 15]


a, b = lines(argparse), lines(random) + lines(textwrap)
k = min(len(a), len(b), 500)
pairs = [(t, 0.0) for t in random.sample(a, k)] + [(t, 1.0) for t in random.sample(b, k)]
random.shuffle(pairs)
codes = [torch.tensor([min(ord(c), 127) for c in t[:24]]) for t, _ in pairs]
targets = torch.tensor([t for _, t in pairs])
cut = int(0.8 * len(pairs))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(128, 16, padding_idx=0)
        self.gru = nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(48, 1)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.gru(packed)
        return self.classifier(torch.cat([h[0], h[1]], 1)).squeeze(1)


def collate(index):
    chosen = [codes[i] for i in index]
    return pad_sequence(chosen, batch_first=True), torch.tensor([len(c) for c in chosen]), targets[index]


model = Reader()
optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
for epoch in range(5):
    model.train()
    order = torch.randperm(cut).tolist()
    for i in range(0, cut, 32):
        tokens, lengths, yb = collate(order[i : i + 32])
        optimizer.zero_grad()
        scores = model(tokens, lengths)
        loss = F.binary_cross_entropy_with_logits(scores, yb)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        tokens, lengths, yv = collate(list(range(cut, len(pairs))))
        scores = model(tokens, lengths)
        print(epoch, loss.item(), F.binary_cross_entropy_with_logits(scores, yv).item())
print("result:", ((scores > 0).float() == yv).float().mean().item())
