"""The names that examples of losses are written with, and how an example is built.

Every loss states examples and look-alikes as Python expressions over these names; one battery of tests
builds them all and reads them back.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

ROWS, CLASSES = 8, 5


def namespace(seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Fresh tensors: ``x``, ``u`` are outputs of two layers [8, 5], ``p`` = σ(x), ``v`` > 0 a variance,
    ``r`` > 0 a ratio; targets ``y`` (class), ``t`` in (0, 1), ``s`` (distribution), ``k`` (counts),
    ``g`` (±1), ``m`` (mask), ``a`` (advantages); ``w`` positive class weights; ``lp`` = ln softmax(x);
    ``params`` the leaves."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    def uniform(*shape: int) -> Tensor:
        return (0.05 + 0.9 * torch.rand(shape, generator=generator, dtype=torch.float64)).to(dtype)

    features = normal(ROWS, 7)
    params = [normal(CLASSES, 7).requires_grad_() for _ in range(4)]
    x, u, spread, ratio = (features @ q.t() for q in params)
    y = torch.randint(CLASSES, (ROWS,), generator=generator)
    t = uniform(ROWS, CLASSES)
    labels = torch.full((ROWS, CLASSES), -1)
    labels[:, 0] = y
    return {
        **{"torch": torch, "F": F, "math": math, "params": params},
        **{"x": x, "u": u, "p": x.sigmoid(), "v": F.softplus(spread) + 0.1, "r": (0.1 * ratio).exp()},
        **{"y": y, "t": t, "d": t - x, "s": normal(ROWS, CLASSES).softmax(1), "labels": labels},
        "k": torch.poisson(3 * t, generator=generator),
        "g": (normal(ROWS, CLASSES) > 0).to(dtype) * 2 - 1,
        "m": (torch.arange(ROWS * CLASSES).reshape(ROWS, CLASSES) % 3 > 0).to(dtype),
        "a": normal(ROWS),
        "w": 1 + uniform(CLASSES),
        "lp": x.log_softmax(1),
        "ce": F.cross_entropy(x, y, reduction="none"),
        "bce": F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        "frames": normal(12, 3, 6) + params[0].sum() * 0.01,
        "letters": torch.randint(1, 6, (3, 4), generator=generator),
        "frame_lengths": torch.full((3,), 12),
        "letter_lengths": torch.tensor([4, 3, 2]),
    }


def build(code: str, names: dict[str, Any]) -> Tensor:
    """Evaluate an example. The text comes from this package's own source, never from a user."""
    return eval(compile(code, "<example>", "eval"), dict(names))
