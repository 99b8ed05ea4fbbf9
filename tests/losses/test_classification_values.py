"""Losses over classes: known answers, closed forms, chance levels, extreme scores, bad targets, planted mutants."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from class_references import (
    KNOWN,
    LABELS,
    RATES,
    Y,
    Z,
    call,
    scores,
    smallest,
    spec_of,
    stats_of,
)
from torch import Tensor

import losscope.losses as catalogue
from losscope.core.errors import BadUsage
from losscope.losses.spec import LossSpec

CLASS_LOSSES = [
    "active_passive", "bi_tempered_logistic", "brier", "generalised_cross_entropy", "poly1", "probability_mae",
    "spherical", "symmetric_cross_entropy", "taylor_cross_entropy",
]  # fmt: skip
# The minimum of these lies at infinite scores, which a search only comes near to.
LIMITS = {"active_passive", "probability_mae", "taylor_cross_entropy"}


def optionsets(names: list[str]) -> list[Any]:
    found = []
    for name in names:
        kept = [v for v in spec_of(name).variants if "reduction" not in v]
        found += [pytest.param(spec_of(name), v, id=f"{name}-{i}") for i, v in enumerate([{}, *kept])]
    return found


@pytest.mark.parametrize(("spec", "options"), optionsets(CLASS_LOSSES))
def test_closed_forms_equal_autograd(spec: LossSpec, options: dict[str, Any]) -> None:
    z, y = scores()
    gradient = torch.func.grad(lambda z: call(spec, z, y, reduction="sum", **options))(z)
    if spec.gradient is not None:
        torch.testing.assert_close(spec.gradient(z, y, options), gradient)
    if spec.logit_hessian is not None:
        hessian = torch.func.vmap(
            torch.func.jacrev(
                torch.func.grad(lambda z, y: call(spec, z[None], y[None], reduction="sum", **options))
            )
        )(z, y)
        torch.testing.assert_close(spec.logit_hessian(z, y, options), hessian)


@pytest.mark.parametrize(("spec", "options"), optionsets(CLASS_LOSSES))
def test_the_chance_level_is_the_loss_of_the_best_constant(spec: LossSpec, options: dict[str, Any]) -> None:
    assert spec.chance is not None
    estimate = spec.chance(stats_of(LABELS), options)
    assert estimate is not None
    every = torch.arange(5)

    def expected(z: Tensor) -> Tensor:
        return (RATES * call(spec, z.expand(5, 5), every, reduction="none", **options)).sum()

    starts = [RATES.log(), torch.zeros(5), 3 * F.one_hot(every[0], 5)]
    far = torch.tensor([0.0, -50, -50, -50, -1e7], dtype=torch.float64)  # certainty, the rarest class least
    reached = min(smallest(expected, starts), float(expected(far)))
    assert estimate.value == pytest.approx(reached, rel=1e-4 if spec.name in LIMITS else 1e-8)
    assert estimate.value <= reached + 1e-9
    assert estimate.stderr > 0


@pytest.mark.parametrize(("spec", "options"), optionsets(CLASS_LOSSES))
def test_equal_scores_cost_the_normaliser(spec: LossSpec, options: dict[str, Any]) -> None:
    assert spec.normaliser is not None
    value = spec.normaliser({"num_classes": 5, **options})
    assert value == pytest.approx(
        float(call(spec, torch.zeros(2, 5).double(), torch.tensor([1, 4]), **options))
    )
    assert spec.normaliser({}) is None


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_ignored_elements_maps_and_empty_batches(name: str) -> None:
    spec = spec_of(name)
    z, y = scores(24)
    each = call(spec, z, y, reduction="none")
    assert each.shape == (24,)
    maps = call(spec, z.reshape(2, 3, 4, 5).movedim(-1, 1), y.reshape(2, 3, 4), reduction="none")
    torch.testing.assert_close(maps, each.reshape(2, 3, 4))
    padded = y.where(torch.arange(24) % 3 > 0, -100)
    torch.testing.assert_close(call(spec, z, padded), each[padded >= 0].mean())
    assert float(call(spec, z, torch.full((24,), -100))) == 0
    assert float(call(spec, z[:0], y[:0])) == 0
    torch.testing.assert_close(call(spec, z[0], y[0]), each[0])


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize("wrong", [5, -1])
def test_an_index_that_is_no_class_raises(name: str, wrong: int) -> None:
    z, y = scores()
    y[2] = wrong
    with pytest.raises(IndexError):
        call(spec_of(name), z, y)


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_scores_and_low_precision(name: str, dtype: torch.dtype) -> None:
    spec = spec_of(name)
    z = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]], dtype=dtype)
    for k in range(3):
        leaf = z.clone().requires_grad_()
        y = torch.full((3,), k)
        value = call(spec, leaf, y, reduction="none")
        reference = call(spec, z.double(), y, reduction="none")
        torch.testing.assert_close(value, reference.float(), rtol=1e-5, atol=1e-6)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        assert gradient.isfinite().all()


MARGIN_OPTIONS = [{}, {"margin": 0.5}, {"p": 2}, {"margin": 2.0, "p": 2}]


@pytest.mark.parametrize("options", MARGIN_OPTIONS, ids=str)
def test_chance_of_the_multi_class_margin(options: dict[str, Any]) -> None:
    """Nothing that a search of random scores and of all whole multiples of the margin finds is below it."""
    spec = spec_of("multi_margin")
    rates = torch.tensor([0.45, 0.3, 0.15, 0.1], dtype=torch.float64)
    stats = stats_of(torch.arange(4).repeat_interleave((rates * 100).round().long()))
    assert spec.chance is not None
    estimate = spec.chance(stats, options)
    assert estimate is not None
    margin = options.get("margin", 1.0)
    grid = torch.cartesian_prod(*[torch.arange(-3.0, 1.0)] * 4).double() * margin
    noise = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    candidates = torch.cat([grid, margin * noise])
    each = torch.stack(
        [
            F.multi_margin_loss(candidates, torch.full((len(candidates),), k), reduction="none", **options)
            for k in range(4)
        ],
        1,
    )
    best = float((each @ rates).min())
    assert estimate.value <= best + 1e-9
    # The linear programme has its solution on the grid (ordered partitions); the square is fitted between.
    assert estimate.value == pytest.approx(best, rel=1e-9 if options.get("p", 1) == 1 else 0.05)


def test_equal_rates_cost_the_margin_of_equal_scores() -> None:
    spec = spec_of("multi_margin")
    assert spec.chance is not None
    estimate = spec.chance(stats_of(torch.arange(5).repeat(4)), {})
    assert estimate is not None
    assert estimate.value == pytest.approx(0.8)
    assert spec.normaliser is not None
    assert spec.normaliser({"num_classes": 5}) == pytest.approx(0.8)


TORCH_GRADIENTS = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "multilabel_soft_margin", "nll", "soft_margin",
]  # fmt: skip


@pytest.mark.parametrize("name", TORCH_GRADIENTS)
def test_closed_forms_of_torch_losses(name: str) -> None:
    from losscope.losses.arguments import draw_case

    spec = spec_of(name)
    z, y = draw_case(spec.arguments, 3)
    gradient = torch.func.grad(lambda z: call(spec, z, y, reduction="sum"))(z)
    assert spec.gradient is not None
    torch.testing.assert_close(spec.gradient(z, y, {}), gradient)


def test_positive_weights_in_the_closed_forms() -> None:
    spec = spec_of("binary_cross_entropy_with_logits")
    z, y = scores()
    t, options = F.one_hot(y, 5).double(), {"pos_weight": torch.tensor([1.0, 2, 3, 4, 5])}
    each = torch.func.grad(lambda z: call(spec, z, t, reduction="sum", **options))
    assert spec.gradient is not None
    assert spec.logit_hessian is not None
    torch.testing.assert_close(spec.gradient(z, t, options), each(z))
    hessian = torch.func.vmap(
        torch.func.jacrev(torch.func.grad(lambda z, t: call(spec, z, t, reduction="sum", **options)))
    )
    torch.testing.assert_close(spec.logit_hessian(z, t, options), hessian(z, t))


def test_a_set_of_labels_is_drawn_as_the_multi_label_margin_wants_it() -> None:
    from losscope.losses.arguments import draw_case

    spec = spec_of("multilabel_margin")
    for seed in range(5):
        z, labels = draw_case(spec.arguments, seed)
        expected = 0.0
        for row, given in zip(z, labels, strict=True):
            inside = given[given >= 0].tolist()
            assert 0 < len(set(inside)) == len(inside) < 5
            outside = [k for k in range(5) if k not in inside]
            expected += sum(float((1 - row[i] + row[k]).relu()) for i in inside for k in outside) / 5
        assert float(call(spec, z, labels)) == pytest.approx(expected / len(z))


@pytest.mark.parametrize("name", KNOWN)
def test_independent_code_agrees_and_a_plausible_mistake_does_not(name: str) -> None:
    arguments, options, reference, mistake = KNOWN[name]
    spec = spec_of(name)
    value = call(spec, *arguments, reduction="none", **options)
    torch.testing.assert_close(value, reference(), rtol=1e-9, atol=1e-10)
    assert not torch.allclose(value, mistake(), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(call(spec, *arguments, **options), value.mean())
    torch.testing.assert_close(call(spec, *arguments, reduction="sum", **options), value.sum())
    assert spec.module is not None
    torch.testing.assert_close(spec.module(**options)(*arguments), value.mean())


def test_every_own_loss_has_independent_code() -> None:
    own = {
        n
        for n, s in catalogue.all().items()
        if s.family == "classification" and "losscope" in s.function.__module__
    }  # type: ignore[union-attr]
    assert own == set(KNOWN)


def test_special_cases_of_the_bi_tempered_loss() -> None:
    spec = spec_of("bi_tempered_logistic")
    torch.testing.assert_close(call(spec, Z, Y, t1=1.0, t2=1.0), F.cross_entropy(Z, Y))
    torch.testing.assert_close(call(spec, Z, Y, t1=0.0, t2=1.0), call(spec_of("brier"), Z, Y) / 2)
    torch.testing.assert_close(
        call(spec, Z, Y, t1=1.0, t2=1.0 + 1e-7), F.cross_entropy(Z, Y), rtol=1e-5, atol=1e-6
    )
    leaf = Z[:3].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: call(spec, z, Y[:3], t2=2.0), leaf)
    with pytest.raises(BadUsage, match="temperatures"):
        call(spec, Z, Y, t1=1.2)
