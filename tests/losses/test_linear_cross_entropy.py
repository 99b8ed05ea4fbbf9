"""The streaming linear cross-entropy against the plain expression in float64, its edges, and planted mutants."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_cross_entropy_reference import (
    CLASS_WEIGHT,
    OPTIONS,
    agree,
    all_orders,
    case,
    reference,
    small_blocks,  # noqa: F401  used by every test here
)
from torch import Tensor

from losscope import losses
from losscope.core.errors import BadUsage
from losscope.losses.large_output import head as head_module
from losscope.losses.large_output import streaming
from losscope.losses.large_output.linear_cross_entropy import (
    LinearCrossEntropy,
    linear_cross_entropy,
)
from losscope.losses.target_stats import TargetStats


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("bias", [None, torch.ones(1)], ids=["no bias", "bias"])
@pytest.mark.parametrize(("rows", "shifted"), [(None, False), (5, False), (5, True)])
def test_every_option_has_the_value_and_derivatives_of_the_definition(
    reduction: str, bias: Tensor | None, rows: int | None, shifted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shifted:
        monkeypatch.setattr(streaming, "_NEAR", -1.0)  # nothing is near 0: the maximum is always taken
    for options in OPTIONS:
        how = {**options, "reduction": reduction, "chunk_rows": rows}
        assert agree(all_orders(linear_cross_entropy, bias, **how), all_orders(reference, bias, **how)), how


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 9),
    d=st.integers(1, 5),
    v=st.integers(1, 9),
    rows=st.one_of(st.none(), st.integers(1, 10)),
    smoothing=st.sampled_from([0.0, 0.3, 1.0]),
    z_loss=st.sampled_from([0.0, 0.5]),
    softcap=st.sampled_from([None, 0.5, 30.0]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    scale=st.sampled_from([1e-3, 1.0, 30.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_any_shape_and_scale(
    n: int,
    d: int,
    v: int,
    rows: int | None,
    smoothing: float,
    z_loss: float,
    softcap: float | None,
    reduction: str,
    scale: float,
    seed: int,
) -> None:
    x, w, y, b = case(n, d, v, seed)
    y[n // 3] = v - 1
    x = (x.detach() * scale).requires_grad_()
    found, expected = (
        loss(
            x, w, y, b, label_smoothing=smoothing, z_loss=z_loss, softcap=softcap, reduction=reduction, **more
        )
        for loss, more in ((linear_cross_entropy, {"chunk_rows": rows}), (reference, {}))
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for a, e in zip(
        torch.autograd.grad(found.sum(), (x, w, b)),
        torch.autograd.grad(expected.sum(), (x, w, b)),
        strict=True,
    ):
        torch.testing.assert_close(a, e, rtol=1e-8, atol=1e-8 * float(e.abs().max() + 1e-3))


def test_a_late_block_with_huge_scores_is_made_again() -> None:
    """The first block is near 0, so that the reference is 0 until a block overflows; then the maximum is taken."""
    x = torch.ones(3, 1, dtype=torch.float32, requires_grad=True)
    w = torch.tensor([[0.0], [1.0], [-1.0], [500.0], [3.0], [499.0], [-900.0]], requires_grad=True)
    y = torch.tensor([3, 5, 0])
    value = linear_cross_entropy(x, w, y, reduction="none", chunk_rows=2)
    expected = F.cross_entropy(F.linear(x.double(), w.double()), y, reduction="none")
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-5)
    for a, e in zip(
        torch.autograd.grad(value.sum(), (x, w)), torch.autograd.grad(expected.sum(), (x, w)), strict=True
    ):
        torch.testing.assert_close(a, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_scores(scale: float, dtype: torch.dtype) -> None:
    x = torch.full((2, 1), scale, dtype=dtype, requires_grad=True)
    w = torch.linspace(-1, 1, 9, dtype=dtype)[:, None].requires_grad_()
    y = torch.tensor([0, 8])
    value = linear_cross_entropy(x, w, y, reduction="none")
    expected = F.cross_entropy(F.linear(x.double(), w.double()), y, reduction="none")
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value.sum(), (x, w)))


def test_a_sure_label_has_a_small_exact_loss() -> None:
    """Without a maximum, ln Σ and the score of the label are both about 40, and their difference is 4e-7."""
    x, w = torch.ones(1, 1), torch.tensor([[38.0]] + [[20.0]] * 30)
    value = float(linear_cross_entropy(x, w, torch.tensor([0])))
    assert value == pytest.approx(30 * math.exp(-18), abs=2e-7)
    assert value >= 0
    surer = float(linear_cross_entropy(x, torch.tensor([[41.3], [0.0], [0.0]]), torch.tensor([0])))
    assert 0 <= surer < 1e-7


def test_classes_masked_by_an_infinite_bias() -> None:
    x, w, y, _ = case(4, 3, 7)
    b = torch.tensor([-math.inf] * 4 + [0.0] * 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([4, 5, 6, -100])
    value, expected = linear_cross_entropy(x, w, y, b), reference(x, w, y, b)
    torch.testing.assert_close(value, expected)
    for a, e in zip(
        torch.autograd.grad(value, (x, w, b)), torch.autograd.grad(expected, (x, w, b)), strict=True
    ):
        torch.testing.assert_close(a, e)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_low_precision_is_computed_in_float32(dtype: torch.dtype, autocast: bool) -> None:
    g = torch.Generator().manual_seed(0)
    x, w, b = ((torch.randn(s, generator=g) / 2).to(dtype) for s in ((64, 32), (200, 32), (200,)))
    y = torch.randint(200, (64,), generator=g)
    leaves = [t.clone().requires_grad_() for t in (x, w, b)]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = linear_cross_entropy(leaves[0], leaves[1], y, leaves[2], label_smoothing=0.1, z_loss=0.01)
    value.backward()
    exact = [t.double().requires_grad_() for t in (x, w, b)]
    expected = reference(exact[0], exact[1], y, exact[2], label_smoothing=0.1, z_loss=0.01)
    expected.backward()
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for a, e in zip(leaves, exact, strict=True):
        assert a.grad is not None and e.grad is not None
        assert a.grad.dtype == dtype
        one = e.grad.to(dtype)  # one rounding
        assert bool(((a.grad - one).abs() <= torch.finfo(dtype).eps * one.abs() + 1e-6).all())


def test_a_loss_scaler_keeps_float16_gradients_from_underflow() -> None:
    x, w = torch.full((4096, 2), 1e-3, dtype=torch.float16), torch.zeros(8, 2, dtype=torch.float16)
    y = torch.arange(4096) % 4
    x.requires_grad_()
    w.requires_grad_()
    (linear_cross_entropy(x, w, y, reduction="mean") * 2.0**14).backward()
    assert w.grad is not None
    expected = 2.0**14 * 1e-3 * (1 / 8 - 1 / 4)
    assert float(w.grad[0, 0]) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_samples_that_do_not_count_leave_no_trace(reduction: str) -> None:
    x, w, y, b = case()
    poisoned = x.detach().clone()
    poisoned[y == -100] = math.nan
    poisoned.requires_grad_()
    value = linear_cross_entropy(poisoned, w, y, b, reduction=reduction, label_smoothing=0.1)
    expected = linear_cross_entropy(x, w, y, b, reduction=reduction, label_smoothing=0.1)
    torch.testing.assert_close(value, expected, rtol=0, atol=0)
    found = torch.autograd.grad(value.sum(), (poisoned, w, b), create_graph=True)
    for a, e in zip(found, torch.autograd.grad(expected.sum(), (x, w, b)), strict=True):
        torch.testing.assert_close(a, e, rtol=0, atol=0)
    second = torch.autograd.grad(sum((t**2).sum() for t in found), (poisoned, w, b))
    assert all(torch.isfinite(t).all() for t in second)
    assert bool((found[0][y == -100] == 0).all())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("count", [0, 3])
def test_a_batch_in_which_nothing_counts_costs_nothing(reduction: str, count: int) -> None:
    x = torch.full((count, 2), math.nan, requires_grad=True)
    w = torch.ones(5, 2, requires_grad=True)
    value = linear_cross_entropy(x, w, torch.full((count,), -100), reduction=reduction, label_smoothing=0.1)
    assert bool((value == 0).all())
    found = torch.autograd.grad(value.sum(), (x, w), create_graph=True)
    assert all(bool((g == 0).all()) for g in found)
    assert all(bool((g == 0).all()) for g in torch.autograd.grad(sum(g.sum() for g in found), (x, w)))


def test_a_class_of_weight_zero_does_not_count() -> None:
    x = torch.tensor([[math.nan], [1.0]], requires_grad=True)
    w = torch.tensor([[1.0], [2.0]])
    value = linear_cross_entropy(x, w, torch.tensor([0, 1]), class_weight=torch.tensor([0.0, 3.0]))
    assert float(value.detach()) == pytest.approx(math.log1p(math.exp(-1)))
    value.backward()
    assert x.grad is not None and float(x.grad[0]) == 0


def test_inputs_of_more_axes_and_other_strides() -> None:
    x, w, y, _ = case(12, 4, 7)
    y[4] = 0
    square = y.reshape(3, 4)
    value = linear_cross_entropy(x.reshape(3, 4, 4), w, square, reduction="none")
    torch.testing.assert_close(value, reference(x, w, y, reduction="none").reshape(3, 4))
    odd = x.detach().t().contiguous().t(), w.detach().repeat(1, 2)[:, ::2]
    torch.testing.assert_close(linear_cross_entropy(*odd, y.int()), reference(*odd, y))


@pytest.mark.parametrize("target", [[0, 5], [0, -1], [7, -100]])
def test_a_target_out_of_range_raises(target: list[int]) -> None:
    with pytest.raises(BadUsage, match="no class"):
        linear_cross_entropy(torch.ones(2, 3), torch.ones(5, 3), torch.tensor(target))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": torch.ones(2, 4)}, "do not fit"),
        ({"target": torch.zeros(2, 1, dtype=torch.long)}, "one class index per sample"),
        ({"target": torch.zeros(2)}, "one class index per sample"),
        ({"bias": torch.ones(1)}, "bias must have"),
        ({"class_weight": torch.ones(4)}, "class_weight must have"),
        ({"class_weight": torch.ones(5, requires_grad=True)}, "not differentiated"),
        ({"reduction": "average"}, "unknown reduction"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"z_loss": -1.0}, "z_loss"),
        ({"softcap": 0.0}, "softcap"),
        ({"chunk_rows": 0}, "chunk_rows"),
        ({"backend": "magic"}, "unknown backend"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], words: str) -> None:
    good: dict[str, object] = {
        "input": torch.ones(2, 3),
        "weight": torch.ones(5, 3),
        "target": torch.zeros(2, dtype=torch.long),
    }
    linear_cross_entropy(**good)  # type: ignore[arg-type]
    with pytest.raises(BadUsage, match=words):
        linear_cross_entropy(**{**good, **change})  # type: ignore[arg-type]


def test_backward_twice() -> None:
    x, w, y, b = case()
    expected = torch.autograd.grad(3 * reference(x, w, y, b), w)[0]
    value = 3 * linear_cross_entropy(x, w, y, b)
    value.backward(retain_graph=True)
    value.backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, 2 * expected)
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


def test_only_what_is_needed_gets_a_gradient_and_inputs_are_left_alone() -> None:
    x, w, y, b = case()
    before = [t.detach().clone() for t in (x, w, b)]
    for needed in itertools.product([False, True], repeat=3):
        leaves = [t.detach().clone().requires_grad_(n) for t, n in zip((x, w, b), needed, strict=True)]
        value = linear_cross_entropy(leaves[0], leaves[1], y, leaves[2])
        assert value.requires_grad == any(needed)
        if any(needed):
            value.backward()
        for leaf, source, n in zip(
            leaves, torch.autograd.grad(reference(x, w, y, b), (x, w, b)), needed, strict=True
        ):
            assert (leaf.grad is not None) == n
            if leaf.grad is not None:
                torch.testing.assert_close(leaf.grad, source)
    assert all(torch.equal(t, s) for t, s in zip((x, w, b), before, strict=True))


def test_module_and_catalogue() -> None:
    x, w, y, b = case()
    module = LinearCrossEntropy(label_smoothing=0.1, class_weight=CLASS_WEIGHT)
    torch.testing.assert_close(
        module(x, w, y, b), reference(x, w, y, b, label_smoothing=0.1, class_weight=CLASS_WEIGHT)
    )
    spec = losses.get("linear_cross_entropy")
    assert spec.function is linear_cross_entropy
    assert losses.linear_cross_entropy is linear_cross_entropy


def test_a_bias_alone_reaches_the_chance_level() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 2] * 200)
    stats = TargetStats()
    stats.update(y.numpy())
    spec = losses.get("linear_cross_entropy")
    assert spec.chance is not None
    chance = spec.chance(stats, {"num_classes": 3})
    assert chance is not None
    b = torch.tensor([1 / 2, 1 / 3, 1 / 6]).log()
    value = linear_cross_entropy(torch.zeros(len(y), 1), torch.zeros(3, 1), y, b)
    assert float(value) == pytest.approx(chance.value, abs=1e-2)
    assert spec.chance(stats, {"num_classes": 3, "z_loss": 0.1}) is None


# Planted mutants: what somebody might well write, and the comparisons above must reject.


def _no_rescaling(self: streaming.OnlineSoftmax, z: Tensor) -> Tensor:
    self.centre_(z)
    self.total = self.total + z.exp2_().sum(1, keepdim=True)
    return torch.ones_like(self.total)


def _no_slope_at_the_label(z: Tensor, softcap: float) -> Tensor:
    slope = streaming_capped(z, softcap)
    slope[:, 0] = 1.0
    return slope


streaming_capped = streaming.capped_
finish_losses = streaming._Pass.finish_losses


def _z_loss_without_gradient(self: streaming._Pass, chunk: streaming._Chunk, rows: slice) -> Tensor:
    weight = finish_losses(self, chunk, rows)
    lse = (chunk.softmax.peak + chunk.softmax.total.log2()) * streaming.LN_2
    return weight - 2 * self.head.settings.z_loss * self.head.share[rows] * lse


MUTANTS: dict[str, tuple[object, str, object]] = {
    "sums of earlier blocks not rescaled": (streaming.OnlineSoftmax, "absorb_", _no_rescaling),
    "slope of the soft cap forgotten": (streaming, "capped_", _no_slope_at_the_label),
    "z-loss without a gradient": (streaming._Pass, "finish_losses", _z_loss_without_gradient),
    "smoothing not in the gradient of the weights": (
        streaming._Pass,
        "subtract_uniform",
        lambda self: None,
    ),
    "label not subtracted": (streaming._Pass, "subtract_label", lambda self, chunk, rows, scale: None),
    "smoothing without the class weights": (
        head_module.Head,
        "weights_of",
        lambda self, block: self.share.new_ones(len(range(*block.indices(self.classes)))),
    ),
    "mean over the samples instead of their weights": (
        head_module.Head,
        "scale",
        lambda self: self.share.new_tensor(1 / len(self.share)),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mutant_is_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def right() -> bool:
        return all(
            agree(all_orders(linear_cross_entropy, None, **how), all_orders(reference, None, **how))
            for how in OPTIONS
        )

    monkeypatch.setattr(streaming, "_NEAR", -1.0)
    assert right()
    monkeypatch.setattr(*MUTANTS[name])  # type: ignore[arg-type]
    assert not right()
