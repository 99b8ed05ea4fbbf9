"""Four networks, briefly trained, on which curvature is measured: each gives a model, its loss and one batch.

``mlp``: 64-128-64-10 on all of scikit-learn's digits. ``cnn``: two convolutions on 512 digits. ``resnet``: the 20-layer
residual network of He et al. (2016) with batch normalisation in evaluation mode, since most peers know no other, on 64
images of 3 x 32 x 32 (digits, enlarged, in random colours). ``transformer``: four layers, width 128, causal, on
16 x 64 characters of the standard library's own text.
"""

import inspect
import itertools
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

WORKLOADS = ("mlp", "cnn", "resnet", "transformer")


@dataclass
class Workload:
    """``inputs`` and ``targets`` are one batch; ``loss(outputs, targets)`` its mean loss."""

    name: str
    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor

    def value(self) -> Tensor:
        return self.loss(self.model(self.inputs), self.targets)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())

    def gradient(self) -> tuple[Tensor, ...]:
        """One plain gradient: the unit in which costs are given."""
        return torch.autograd.grad(self.value(), self.parameters)


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        stride = width // before
        self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])
        self.around = nn.Conv2d(before, width, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(inner + self.around(x))


class Attention(nn.Module):
    """Causal self-attention and a feed-forward part, normalised first. Written out: peers cannot choose a kernel."""

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.register_buffer("hidden", torch.ones(length, length).triu(1).bool())

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        y = self.norms[0](x)
        split = [
            part(y).view(n, t, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value)
        ]
        scores = split[0] @ split[1].mT / (width / self.heads) ** 0.5
        mixed = scores.masked_fill(self.hidden, -torch.inf).softmax(-1) @ split[2]
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x))))


class Transformer(nn.Module):
    """A causal language model; gives logits [n, v, t], as ``cross_entropy`` takes them."""

    def __init__(self, size: int, width: int = 128, layers: int = 4, length: int = 64) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(size, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Attention(width, 4, length) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, size)
        self.register_buffer("places", torch.arange(length))

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.blocks(self.token(tokens) + self.place(self.places[: tokens.shape[1]]))
        return self.head(self.norm(hidden)).transpose(1, 2)


def _digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


def _mlp() -> Workload:
    x, y = _digits()
    layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    return Workload("mlp", nn.Sequential(*layers), F.cross_entropy, x, y)


def _cnn() -> Workload:
    x, y = _digits()
    layers = [
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 10)),
    ]
    return Workload("cnn", nn.Sequential(*layers), F.cross_entropy, x[:512].view(-1, 1, 8, 8), y[:512])


def _resnet() -> Workload:
    x, y = _digits()
    images = F.interpolate(x[:64].view(-1, 1, 8, 8), size=32, mode="bilinear")
    images = images * (0.5 + torch.rand(64, 3, 1, 1)) + 0.1 * torch.randn(64, 3, 32, 32)
    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Block(before, after) for before, after in itertools.pairwise(widths)]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return Workload("resnet", model, F.cross_entropy, images, y[:64])


def _transformer() -> Workload:
    text = "".join(inspect.getsource(module) for module in (textwrap, json, inspect))
    symbols = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([symbols[c] for c in text])[: 16 * 65].view(16, 65)
    model = Transformer(len(symbols))
    return Workload("transformer", model, F.cross_entropy, ids[:, :-1].contiguous(), ids[:, 1:].contiguous())


def workload(name: str, steps: int = 60, device: torch.device | str = "cpu") -> Workload:
    """One of :data:`WORKLOADS`, trained for so many steps of Adam on its own batch, then in evaluation mode."""
    torch.manual_seed(0)
    made = {"mlp": _mlp, "cnn": _cnn, "resnet": _resnet, "transformer": _transformer}[name]()
    made.model.to(device)
    made.inputs, made.targets = made.inputs.to(device), made.targets.to(device)
    optimizer = torch.optim.Adam(made.model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        made.value().backward()
        optimizer.step()
    optimizer.zero_grad()
    made.model.eval()
    return made
