import torch
import torch.nn as nn
import torch.nn.functional as F

from data import digits
from digest import report, seed

seed()
torch.set_num_threads(1)
import this_text

text = this_text.text
chars = sorted(set(text))
ids = torch.tensor([chars.index(c) for c in text])


class Model(nn.Module):
    def __init__(self, vocab, d=32, length=32):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(length, d)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, vocab, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, idx, targets=None):
        n = idx.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(n)
        h = self.body(self.tok(idx) + self.pos(torch.arange(n)), mask=mask, is_causal=True)
        logits = self.head(h)
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, loss


model = Model(len(chars))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for step in range(80):
    start = torch.randint(0, len(ids) - 33, (16,))
    xb = torch.stack([ids[s : s + 32] for s in start])
    yb = torch.stack([ids[s + 1 : s + 33] for s in start])
    _, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
print(loss.item())
report(model, optimizer)
