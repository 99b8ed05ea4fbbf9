"""A decoder-only transformer on characters, in bfloat16. The result is minus the bits per character. chance=-4.3"""

import math

import torch
import torch.nn.functional as F
from pydoc_data.topics import topics
from torch import nn

torch.manual_seed(5)
raw = topics["lambda"] + "".join(topics[key] for key in sorted(topics, reverse=True))[:50000]
raw = "".join(c if c.isalpha() and ord(c) < 128 else " " for c in raw.lower())
chars = sorted(set(raw))
data = torch.tensor([chars.index(c) for c in raw])
split = int(0.9 * len(data))
block = 32


class Layer(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, vocab, d=32, layers=2):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(block, d)
        self.layers = nn.ModuleList([Layer(d, 2) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab, bias=False)

    def forward(self, idx):
        x = self.tok(idx) + self.pos(torch.arange(idx.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.ln(x))


def get_batch(part, n=12):
    i = torch.randint(len(part) - block - 1, (n,))
    return torch.stack([part[j : j + block] for j in i]), torch.stack([part[j + 1 : j + block + 1] for j in i])


model = GPT(len(chars))
steps = 150
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda s: min(1.0, s / 20) * (0.55 + 0.45 * math.cos(math.pi * s / steps))
)
for it in range(steps):
    xb, yb = get_batch(data[:split])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(xb)
        loss = F.cross_entropy(logits.view(-1, len(chars)), yb.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
with torch.no_grad():
    xb, yb = get_batch(data[split:], 64)
    final = F.cross_entropy(model(xb).view(-1, len(chars)), yb.view(-1)).item()
print("result:", -final / math.log(2))
