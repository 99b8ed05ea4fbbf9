"""What the streaming linear cross-entropy holds in memory, its statistics, and other backends."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from linear_cross_entropy_reference import (
    CLASS_WEIGHT,
    case,
    reference,
    small_blocks,  # noqa: F401  used by every test here
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from losscope.core.errors import BadUsage
from losscope.losses.large_output import head as head_module
from losscope.losses.large_output.linear_cross_entropy import linear_cross_entropy
from losscope.losses.large_output.statistics import linear_cross_entropy_statistics


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation returns, views of it included."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(t.numel() for t in tree_leaves(result) if isinstance(t, Tensor))])
        return result


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """N·V is 40 times the weights."""
    monkeypatch.setattr(head_module, "_LEAST_COLUMNS", 150)
    x, w, y, _ = case(640, 16, 1000)
    yield x.detach().float().requires_grad_(), w.detach().float().requires_grad_(), y


def test_scores_of_a_whole_batch_are_never_in_memory(wide: tuple[Tensor, Tensor, Tensor]) -> None:
    x, w, y = wide
    with Largest() as plain:
        reference(x, w, y).backward()
    assert plain.numbers == 640 * 1000
    with Largest() as chunked:
        linear_cross_entropy(x, w, y, chunk_rows=16, label_smoothing=0.1, z_loss=0.1).backward()
    assert chunked.numbers == 16 * 1000
    with Largest() as unreduced:
        linear_cross_entropy(x, w, y, chunk_rows=16, reduction="none").sum().backward()
    assert unreduced.numbers == 16 * 1000
    with Largest() as second:
        (g,) = torch.autograd.grad(linear_cross_entropy(x, w, y, chunk_rows=16), w, create_graph=True)
        torch.autograd.grad((g * w).sum(), (x, w))
    assert second.numbers == 16 * 1000


def test_without_the_gradient_of_the_weights_only_a_block_is_in_memory(
    wide: tuple[Tensor, Tensor, Tensor],
) -> None:
    x, w, y = wide
    with Largest() as values, torch.no_grad():
        linear_cross_entropy(x, w, y, chunk_rows=64)
    assert values.numbers <= max(x.numel(), w.numel())
    with Largest() as frozen:
        linear_cross_entropy(x, w.detach(), y, chunk_rows=64).backward()
    assert frozen.numbers <= max(x.numel(), w.numel())
    with Largest() as statistics:
        linear_cross_entropy_statistics(x, w, y, chunk_rows=64)
    assert statistics.numbers <= max(x.numel(), w.numel())


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_statistics(softcap: float | None, dtype: torch.dtype) -> None:
    x, w, y, b = (t.detach() for t in case(40, 4, 17))
    b[3] = -math.inf
    y[y == 3] = 2
    kept = y != -100
    z = F.linear(3 * x, w, b)
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    p = z.softmax(1)[kept]
    expected = (
        F.cross_entropy(z, y),
        torch.special.entr(p).sum(1).mean(),
        (z.argmax(1) == y)[kept].double().mean(),
        (p - F.one_hot(y[kept], 17)).square().sum(1).mean(),
    )
    args = (3 * x).to(dtype), w.to(dtype), y, b.to(dtype)
    found = linear_cross_entropy_statistics(*args, softcap=softcap, chunk_rows=7)
    each = linear_cross_entropy_statistics(*args, softcap=softcap, reduction="none")
    assert found.samples == each.samples == 39
    for value, unreduced, true in zip(found[:4], each[:4], expected, strict=True):
        assert float(value) == pytest.approx(float(true), rel=1e-5)
        assert unreduced.shape == y.shape
        assert float(unreduced.sum() / 39) == pytest.approx(float(true), rel=1e-5)
    assert linear_cross_entropy_statistics(*args[:2], torch.full_like(y, -100)).samples == 0


def test_statistics_have_the_nll_of_the_loss() -> None:
    x, w, y, b = (t.detach() for t in case(40, 4, 17))
    assert float(linear_cross_entropy_statistics(x, w, y, b).nll) == pytest.approx(
        float(linear_cross_entropy(x, w, y, b)), rel=1e-12
    )


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no F.linear_cross_entropy")
def test_torch_as_the_backend() -> None:
    x, w, y, b = case()
    found = linear_cross_entropy(x, w, y, b, class_weight=CLASS_WEIGHT, backend="torch", chunk_rows=4)
    torch.testing.assert_close(found, reference(x, w, y, b, class_weight=CLASS_WEIGHT))
    with pytest.raises(BadUsage, match="label_smoothing, softcap"):
        linear_cross_entropy(x, w, y, b, softcap=2.0, label_smoothing=0.1, backend="torch")


def test_a_torch_without_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    x, w, y, _ = case()
    with pytest.raises(BadUsage, match=r"torch 2\.13 or newer"):
        linear_cross_entropy(x, w, y, backend="torch")


@pytest.mark.parametrize(("backend", "package"), [("liger", "liger_kernel"), ("cce", "cut_cross_entropy")])
def test_a_backend_that_is_not_installed(backend: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    monkeypatch.setitem(__import__("sys").modules, f"{package}.transformers", None)
    x, w, y, _ = case()
    with pytest.raises(BadUsage, match="pip install"):
        linear_cross_entropy(x, w, y, backend=backend)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo's own look
def test_compiled_it_is_called_between_two_graphs() -> None:
    x, w, y, b = (t.detach() for t in case())
    x.requires_grad_()

    def model(x: Tensor) -> Tensor:
        return 2 * linear_cross_entropy(x.sin(), w, y, b)

    torch.compiler.reset()
    value = torch.compile(model, backend="aot_eager")(x)
    torch.compiler.reset()
    torch.testing.assert_close(value, model(x))
    torch.testing.assert_close(*(torch.autograd.grad(v, x)[0] for v in (value, model(x))))
