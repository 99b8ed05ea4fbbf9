"""The plain linear cross-entropy by its definition, cases for it, and what two versions must agree in."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.losses.large_output import autograd, streaming
from losscope.losses.large_output import head as head_module

N, D, V = 13, 4, 11
Loss = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three classes, so that small cases have many of them."""
    monkeypatch.setattr(head_module, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(head_module, "_LEAST_COLUMNS", 3)


def never_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator, where a look at the data would wait for the device."""
    for module in (head_module, streaming, autograd):
        monkeypatch.setattr(module, "waits_for_data", lambda _: False)


def reference(
    x: Tensor,
    w: Tensor,
    y: Tensor,
    b: Tensor | None = None,
    *,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    chunk_rows: int | None = None,
) -> Tensor:
    """The definition, with all scores in memory."""
    z = F.linear(x, w, b)
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    ce = F.cross_entropy(
        z, y, class_weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction="none"
    )
    share = z.new_ones(w.shape[0]) if class_weight is None else class_weight
    share = torch.where(y == ignore_index, 0.0, share[y.clamp(0)])
    each = ce + z_loss * share * z.logsumexp(1) ** 2
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.sum() / share.sum()


def case(n: int = N, d: int = D, v: int = V, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, weights, targets (one is ignored) and biases; leaves in float64."""
    g = torch.Generator().manual_seed(seed)
    x, w, b = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((n, d), (v, d), (v,)))
    y = torch.randint(v, (n,), generator=g)
    y[n // 3] = -100
    return x.requires_grad_(), w.requires_grad_(), y, b.requires_grad_()


def all_orders(loss: Loss, b: Tensor | None, seed: int = 0, **options: object) -> list[Tensor]:
    """Value, gradients, the same as part of a graph, and the Hessian times a vector."""
    x, w, y, bias = case(seed=seed)
    ins = (x, w) if b is None else (x, w, bias)
    g = torch.Generator().manual_seed(seed + 1)
    value = loss(x, w, y, None if b is None else bias, **options)
    seeds = torch.randn(value.shape, generator=g, dtype=torch.float64)
    first = torch.autograd.grad((value * seeds).sum(), ins)
    value = loss(x, w, y, None if b is None else bias, **options)
    graph = torch.autograd.grad((value * seeds).sum(), ins, create_graph=True)
    inner = sum((t * torch.randn(t.shape, generator=g, dtype=torch.float64)).sum() for t in graph)
    assert isinstance(inner, Tensor)
    return [value.detach(), *first, *(t.detach() for t in graph), *torch.autograd.grad(inner, ins)]


def agree(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, e, rtol=1e-9, atol=1e-11) for a, e in zip(found, expected, strict=True))


CLASS_WEIGHT = torch.rand(V, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
OPTIONS = [
    {"label_smoothing": s, "z_loss": z, "softcap": c, "class_weight": w}
    for s, z, c, w in itertools.product((0.0, 0.2), (0.0, 0.1), (None, 1.5), (None, CLASS_WEIGHT))
]
