"""Small networks of every kind that operators must be right for, in float64, with data and a loss."""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    """Attention by torch's fused function, whose kernels cannot be differentiated twice."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)
        self.qkv, self.norm = nn.Linear(4, 12), nn.LayerNorm(4)

    def forward(self, tokens):
        x = self.embed(tokens)
        q, k, v = (t[:, None] for t in self.qkv(self.norm(x)).chunk(3, -1))
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0]
        return self.head(x).mean(1)


class Tied(nn.Module):
    """One matrix embeds and decodes."""

    def __init__(self):
        super().__init__()
        self.embed, self.decode = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.decode.weight = self.embed.weight

    def forward(self, tokens):
        return self.decode(torch.tanh(self.embed(tokens).mean(1)))


def _mlp(activation):
    return nn.Sequential(nn.Linear(4, 5), activation, nn.Linear(5, 3))


def _frozen():
    model = _mlp(nn.Tanh())
    model[0].weight.requires_grad_(False)
    return model


class WithUnused(nn.Module):
    """A parameter that the loss does not reach."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = _mlp(nn.Tanh()), nn.Linear(3, 2)

    def forward(self, x):
        return self.used(x)


def _conv():
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.GELU(), nn.Flatten(), nn.Linear(8, 3))


NETWORKS = {
    "tanh": lambda: _mlp(nn.Tanh()),
    "relu": lambda: _mlp(nn.ReLU()),
    "gelu": lambda: _mlp(nn.GELU()),
    "batch norm, training": lambda: nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)
    ),
    "batch norm, evaluation": lambda: nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
    ).eval(),
    "layer norm": lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.SiLU(), nn.Linear(5, 3)),
    "convolution": _conv,
    "attention": Attention,
    "tied": Tied,
    "frozen": _frozen,
    "unused": WithUnused,
}
TOKENS, IMAGES = {"attention", "tied"}, {"convolution"}


def problem(name, loss=None):
    """Model, loss and batches of unequal size."""
    torch.manual_seed(1)
    model = NETWORKS[name]().double()
    if name in TOKENS:
        x, classes = torch.randint(7, (11, 3)), 7
    else:
        x, classes = torch.randn((11, 1, 3, 3) if name in IMAGES else (11, 4)).double(), 3
    y = torch.randint(classes, (11,))
    return model, loss or nn.CrossEntropyLoss(), [(x[:6], y[:6]), (x[6:9], y[6:9]), (x[9:], y[9:])]
