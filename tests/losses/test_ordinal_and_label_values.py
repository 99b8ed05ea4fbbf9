"""Losses for long tails, labels and ordered classes: chance levels, closed forms, far scores, bad targets."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from class_references import (
    BITS,
    COUNTS,
    HOT,
    KNOWN,
    LABELS,
    RATES,
    THETA,
    Z4,
    Y,
    Z,
    call,
    smallest,
    spec_of,
    stats_of,
)
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.target_stats import TargetStats

LONG_TAIL: dict[str, list[dict[str, Any]]] = {
    "class_balanced_cross_entropy": [{"counts": COUNTS}, {"counts": COUNTS, "beta": 0.0}],
    "ldam": [{"counts": COUNTS}, {"counts": COUNTS, "scale": 1.0, "max_margin": 1.0}],
    "logit_adjusted_cross_entropy": [{"counts": COUNTS}, {"counts": COUNTS, "tau": 2.0}],
}
TAIL_CASES = [pytest.param(n, o, id=f"{n}-{i}") for n, os in LONG_TAIL.items() for i, o in enumerate(os)]


def many(per_class: int = 20000) -> TargetStats:
    """So many labels that the Miller-Madow correction is below 1e-5."""
    return stats_of(LABELS.repeat(per_class // 10))


@pytest.mark.parametrize(("name", "options"), TAIL_CASES)
def test_chance_of_long_tail_losses(name: str, options: dict[str, Any]) -> None:
    spec, every = spec_of(name), torch.arange(5)
    assert spec.chance is not None
    estimate = spec.chance(many(), {**options, "num_classes": 5})
    assert estimate is not None

    def expected(z: Tensor) -> Tensor:
        return (RATES * call(spec, z.expand(5, 5), every, reduction="none", **options)).sum()

    reached = smallest(expected, [RATES.log() / options.get("scale", 1.0), torch.zeros(5)])
    assert estimate.value == pytest.approx(reached, abs=3e-5)
    assert spec.chance(many(), {**LONG_TAIL[name][0], "counts": None}) is None or name.startswith("logit")


BINARY = {"asymmetric": [{}, {"margin": 0.0}, {"gamma_positive": 0.0, "gamma_negative": 0.0, "margin": 0.0}],
          "binary_brier": [{}], "zlpr": [{}]}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, os in BINARY.items() for o in os])
def test_chance_of_losses_of_labels(name: str, options: dict[str, Any]) -> None:
    spec = spec_of(name)
    rate = torch.tensor([0.05, 0.3, 0.5])
    bits = (torch.rand(400, 3, generator=torch.Generator().manual_seed(1)) < rate).double()
    assert spec.chance is not None
    estimate = spec.chance(stats_of(bits, {"target": "binary"}), options)
    assert estimate is not None
    starts = [torch.full((3,), v) for v in (-2.0, 0.0, 1.0)]
    reached = smallest(lambda z: call(spec, z.expand(400, 3), bits, **options), starts)
    assert estimate.value == pytest.approx(reached, rel=1e-6)
    assert estimate.stderr > 0


def test_asymmetric_loss_without_asymmetry_is_binary_cross_entropy() -> None:
    plain = call(spec_of("asymmetric"), Z, BITS, gamma_positive=0.0, gamma_negative=0.0, margin=0.0)
    torch.testing.assert_close(plain, F.binary_cross_entropy_with_logits(Z, BITS))


@pytest.mark.parametrize("name", ["coral_ordinal", "corn", "squared_emd"])
def test_chance_of_ordinal_losses(name: str) -> None:
    spec, every = spec_of(name), torch.arange(5)
    width = 5 if name == "squared_emd" else 4
    assert spec.chance is not None
    estimate = spec.chance(many(), {"num_classes": 5})
    assert estimate is not None

    def expected(z: Tensor) -> Tensor:
        return (RATES * call(spec, z.expand(5, width), every, reduction="none")).sum()

    assert estimate.value == pytest.approx(smallest(expected, [torch.zeros(width)]), abs=3e-5)
    assert estimate.stderr > 0


def test_chance_of_the_cumulative_link_is_reached_with_learnt_thresholds() -> None:
    from losscope.losses.classification.cumulative_link import rising_thresholds

    every = torch.arange(5)

    def expected(raw: Tensor) -> Tensor:
        losses = call(
            spec_of("cumulative_link"),
            torch.zeros(5).double(),
            every,
            rising_thresholds(raw),
            reduction="none",
        )
        return (RATES * losses).sum()

    estimate = spec_of("cumulative_link").chance(many(), {"num_classes": 5})  # type: ignore[misc]
    assert estimate is not None
    assert estimate.value == pytest.approx(smallest(expected, [torch.zeros(4)]), abs=3e-5)


def test_ordinal_models_are_distributions() -> None:
    every, z = torch.arange(5), torch.linspace(-8, 8, 9).double()
    for s in z:
        p = (-call(spec_of("cumulative_link"), s.expand(5), every, THETA, reduction="none")).exp()
        assert float(p.sum()) == pytest.approx(1)
    for row in Z4:
        p = (-call(spec_of("corn"), row.expand(5, 4), every, reduction="none")).exp()
        assert float(p.sum()) == pytest.approx(1)


def test_cumulative_link_far_out_and_its_gradients() -> None:
    spec = spec_of("cumulative_link")
    far = torch.tensor([1e4, 1e4, -1e4, -1e4], dtype=torch.float16)
    ranks = torch.tensor([0, 2, 4, 1])
    value = call(spec, far, ranks, THETA.float(), reduction="none")
    reference = torch.tensor([1e4 + 1.5, 1e4 - 0.3, 1e4 + 2.0, 1e4 - 1.5])  # |s - θ| of the nearer threshold
    gaps = torch.tensor([torch.inf, 0.5, torch.inf, 1.3])
    torch.testing.assert_close(value, reference - torch.log(-torch.expm1(-gaps)), rtol=1e-6, atol=1e-2)
    leaf, theta = Z[:, 0].clone().requires_grad_(), THETA.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z, c: call(spec, z, Y, c), (leaf, theta))
    assert torch.autograd.gradgradcheck(lambda z, c: call(spec, z, Y, c), (leaf, theta))


@pytest.mark.parametrize("name", ["coral_ordinal", "corn", "cumulative_link", "squared_emd"])
@pytest.mark.parametrize("wrong", [5, -1])
def test_a_rank_that_is_none_raises(name: str, wrong: int) -> None:
    arguments, *_ = KNOWN[name]
    ranks = Y.clone()
    ranks[3] = wrong
    with pytest.raises(IndexError):
        call(spec_of(name), arguments[0], ranks, *arguments[2:])


@pytest.mark.parametrize("name", ["binary_brier", "coral_ordinal", "corn"])
def test_closed_forms_of_further_losses(name: str) -> None:
    spec = spec_of(name)
    (z, y, *_), *_ = KNOWN[name]
    assert spec.gradient is not None
    assert spec.logit_hessian is not None
    each = torch.func.grad(lambda z, y: call(spec, z, y, reduction="sum"))
    torch.testing.assert_close(spec.gradient(z, y, {}), each(z, y))
    hessian = torch.func.vmap(
        torch.func.jacrev(torch.func.grad(lambda z, y: call(spec, z[None], y[None], reduction="sum")))
    )
    torch.testing.assert_close(spec.logit_hessian(z, y, {}), hessian(z, y))


def test_squared_emd_of_distributions_and_of_classes_agree() -> None:
    spec = spec_of("squared_emd")
    torch.testing.assert_close(call(spec, Z, HOT), call(spec, Z, Y))
    soft = torch.rand(50, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64).softmax(1)
    options = {"target": "distribution"}
    estimate = spec.chance(stats_of(soft, options), options)  # type: ignore[misc]
    assert estimate is not None
    reached = smallest(lambda z: call(spec, z.expand(50, 5), soft), [torch.zeros(5)])
    assert estimate.value == pytest.approx(reached, rel=1e-6)


def test_wrong_shapes_are_refused() -> None:
    for name in ("asymmetric", "binary_brier", "zlpr"):
        with pytest.raises(BadUsage, match="same shape"):
            call(spec_of(name), torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(BadUsage, match="one number per class"):
        call(spec_of("ldam"), Z, Y, counts=(1.0, 2.0))


def test_margins_and_weights_of_classes_without_samples() -> None:
    from losscope.losses.classification.class_balanced_cross_entropy import class_balanced_weights
    from losscope.losses.classification.ldam import ldam_margins

    torch.testing.assert_close(ldam_margins(torch.tensor([0.0, 16.0, 1.0])), torch.tensor([0.5, 0.25, 0.5]))
    assert class_balanced_weights(torch.tensor([0.0, 1e9]), 0.9999).isfinite().all()
    value = call(spec_of("logit_adjusted_cross_entropy"), Z, Y, counts=(0.0, 1.0, 1.0, 1.0, 1.0))
    assert value.isfinite()
