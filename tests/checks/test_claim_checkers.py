"""Checkers of claims: planted mutants beside those that every checker carries (test_checker_battery.py)."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from subjects_of_checks import BINARY, LOGITS, MASKS, VALUES, answer, elementwise, planted, severity
from torch import Tensor

from losscope.checks import chance_level, closed_forms, floor, value_range
from losscope.checks.claimed import by_default, claim_of
from losscope.checks.engine import execute
from losscope.checks.shrink import shrink
from losscope.checks.subject import Subject, catalogue_subject
from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.catalogue import specs
from losscope.losses.reduction import reduce


def log_cosh(d: Tensor) -> Tensor:
    return d.abs() + F.softplus(-2 * d.abs()) - math.log(2)


def kinked(d: Tensor) -> Tensor:
    """A Huber loss whose linear part is too flat: concave where it begins, linear and convex elsewhere."""
    return torch.where(d.abs() < 1, d.square() / 2, 0.5 + 0.6 * (d.abs() - 1))


def welsch(d: Tensor) -> Tensor:
    return 1 - (-d.square() / 2).exp()


def focal(z: Tensor, y: Tensor, *, reduction: str = "mean") -> Tensor:
    ce = F.cross_entropy(z, y, reduction="none")
    return reduce((1 - (-ce).exp()).square() * ce, reduction)


def soft_dice(p: Tensor, t: Tensor) -> Tensor:
    p, t = p.flatten(1), t.flatten(1)
    return (1 - (2 * (p * t).sum(1) + 1) / ((p + t).sum(1) + 1)).mean()


# name: check, subject, what the checker must say ("bug", "by-design" or None for a pass)
CASES: dict[str, tuple[str, Callable[[], Subject], str | None]] = {
    "convex: Huber": ("convex", lambda: planted(F.huber_loss, VALUES, Claim("convex")), None),
    "convex: a concave kink": ("convex", lambda: planted(elementwise(kinked), VALUES, Claim("convex")), "bug"),
    "convex: Welsch is not, unclaimed": ("convex", lambda: planted(elementwise(welsch), VALUES), "by-design"),
    "convex: Welsch is not, as claimed": (
        "convex", lambda: planted(elementwise(welsch), VALUES, Claim("convex", holds=False)), None),
    "convex: Huber is said not to be": (
        "convex", lambda: planted(F.huber_loss, VALUES, Claim("convex", holds=False)), "bug"),
    "convex: only far from the target it bends down": (
        "convex",
        lambda: planted(elementwise(lambda d: d.abs() - 0.3 * F.relu(d.abs() - 8)), VALUES, Claim("convex")), "bug"),
    "smooth: log cosh, 1": ("smooth", lambda: planted(elementwise(log_cosh), VALUES, Claim("smooth", 1.0)), None),
    "smooth: log cosh, too small": (
        "smooth", lambda: planted(elementwise(log_cosh), VALUES, Claim("smooth", 0.9)), "bug"),
    "smooth: cross-entropy, ½": ("smooth", lambda: planted(F.cross_entropy, LOGITS, Claim("smooth", 0.5)), None),
    "smooth: absolute error": ("smooth", lambda: planted(F.l1_loss, VALUES, Claim("smooth", 100.0)), "bug"),
    "lipschitz: cross-entropy, √2": (
        "lipschitz", lambda: planted(F.cross_entropy, LOGITS, Claim("lipschitz", math.sqrt(2))), None),
    "lipschitz: log cosh with a wrong constant": (
        "lipschitz", lambda: planted(elementwise(lambda d: 2 * log_cosh(d)), VALUES, Claim("lipschitz", 1.0)), "bug"),
    "lipschitz: log cosh, lax": (
        "lipschitz", lambda: planted(elementwise(log_cosh), VALUES, Claim("lipschitz", 1.5)), "bug"),
    "lipschitz: squared error": ("lipschitz", lambda: planted(F.mse_loss, VALUES, Claim("lipschitz", 50.0)), "bug"),
    "lipschitz: a jump": (
        "lipschitz",
        lambda: planted(elementwise(lambda d: d.abs() + (d > 0).double()), VALUES, Claim("lipschitz", 1.0)), "bug"),
    "proper: cross-entropy": ("proper", lambda: planted(F.cross_entropy, LOGITS, Claim("proper")), None),
    "proper: focal": ("proper", lambda: planted(focal, LOGITS, Claim("proper")), "bug"),
    "proper: class weights": (
        "proper",
        lambda: planted(partial(F.cross_entropy, weight=torch.arange(1, 6).double()), LOGITS, Claim("proper")), "bug"),
    "proper: label smoothing of 1 %": (
        "proper", lambda: planted(partial(F.cross_entropy, label_smoothing=0.01), LOGITS, Claim("proper")), "bug"),
    "proper: a constant is": ("proper", lambda: planted(lambda z, y: 0 * z.sum(), LOGITS, Claim("proper")), None),
    "strictly-proper: a constant is not": (
        "strictly-proper", lambda: planted(lambda z, y: 0 * z.sum(), LOGITS, Claim("strictly-proper")), "bug"),
    "strictly-proper: Brier of sigmoids": (
        "strictly-proper",
        lambda: planted(lambda z, t: (z.sigmoid() - t).square().mean(), BINARY, Claim("strictly-proper")), None),
    "strictly-proper: absolute error of sigmoids": (
        "strictly-proper",
        lambda: planted(lambda z, t: (z.sigmoid() - t).abs().mean(), BINARY, Claim("strictly-proper")), "bug"),
    "strictly-proper: pos_weight": (
        "strictly-proper",
        lambda: planted(
            partial(F.binary_cross_entropy_with_logits, pos_weight=torch.full((3,), 2.0).double()),
            BINARY, Claim("strictly-proper")), "bug"),
    "strictly-proper: Dice": ("strictly-proper", lambda: planted(soft_dice, MASKS, Claim("strictly-proper")), "bug"),
    "calibrated: focal": ("calibrated", lambda: planted(focal, LOGITS, Claim("calibrated")), None),
    "calibrated: hinge of two classes": (
        "calibrated",
        lambda: planted(
            lambda z, y: F.relu(1 - y * z).mean(), (Argument("input", "values"), Argument("target", "sign")),
            Claim("calibrated")), None),
    "calibrated: hinge with unequal sides": (
        "calibrated",
        lambda: planted(
            lambda z, y: (torch.where(y > 0, 5.0, 1.0) * F.relu(1 - y * z)).mean(),
            (Argument("input", "values"), Argument("target", "sign")), Claim("calibrated")), "bug"),
    "elicits: the median": ("elicits", lambda: planted(F.l1_loss, VALUES, elicits="median"), None),
    "elicits: Huber, not the mean": ("elicits", lambda: planted(F.huber_loss, VALUES, elicits="mean"), "bug"),
    "elicits: the expectile": (
        "elicits",
        lambda: planted(
            lambda x, t, *, expectile=0.5: (torch.where(x > t, 1 - expectile, expectile) * (x - t).square()).mean(),
            VALUES, elicits="expectile", options={"expectile": 0.5}), None),
    "elicits: the wrong expectile, hidden at ½": (
        "elicits",
        lambda: planted(
            lambda x, t, *, expectile=0.5: (torch.where(x < t, 1 - expectile, expectile) * (x - t).square()).mean(),
            VALUES, elicits="expectile", options={"expectile": 0.5}), "bug"),
    "elicits: mean and variance": (
        "elicits",
        lambda: planted(
            lambda x, v, t: ((x - t).square() / v + v.log()).mean(),
            (Argument("input", "values"), Argument("var", "variance"), Argument("target", "real")),
            elicits="mean and variance"), None),
    "elicits: half the variance": (
        "elicits",
        lambda: planted(
            lambda x, v, t: (0.5 * (x - t).square() / v + v.log()).mean(),
            (Argument("input", "values"), Argument("var", "variance"), Argument("target", "real")),
            elicits="mean and variance"), "bug"),
    "elicits: Dice, not the mode": ("elicits", lambda: planted(soft_dice, MASKS, elicits="mode"), "bug"),
    "elicits: focal, not the probability": (
        "elicits", lambda: planted(focal, LOGITS, elicits="probability"), "bug"),
    "shift-invariant: an ε more than a guard": (
        "shift-invariant",
        lambda: planted(lambda z, y: F.cross_entropy(z, y) + 1e-3 * z.square().mean(), LOGITS,
                        Claim("shift-invariant")), "bug"),
    "scale-invariant: a guard of 1e-8 is nothing": (
        "scale-invariant",
        lambda: planted(
            lambda x, t: (1 - (x * t).sum(1) / (x.norm(dim=1) * t.norm(dim=1) + 1e-8)).mean(),
            (Argument("input", "embeddings"), Argument("target", "embeddings", as_role="target")),
            Claim("scale-invariant")), None),
    "symmetric: Kullback-Leibler is not": (
        "symmetric",
        lambda: planted(
            lambda p, t: (t * (t / p).log()).sum(1).mean(),
            (Argument("input", "class-probabilities"), Argument("target", "distribution")),
            Claim("symmetric")), "bug"),
    "redescending: Welsch": (
        "redescending", lambda: planted(elementwise(welsch), VALUES, Claim("redescending")), None),
    "redescending: log cosh": (
        "redescending", lambda: planted(elementwise(log_cosh), VALUES, Claim("redescending")), "bug"),
    "additive: a coupled loss that hides it": (
        "additive", lambda: planted(lambda x, t: F.mse_loss(x, t).sqrt(), VALUES), "bug"),
    "additive: a plain mean that is said to be coupled": (
        "additive", lambda: planted(F.mse_loss, VALUES, batch_coupled=True), "bug"),
    "additive: coupled as said": (
        "additive", lambda: planted(lambda x, t: F.mse_loss(x, t).sqrt(), VALUES, batch_coupled=True), "by-design"),
    "range: below": (
        "range", lambda: planted(elementwise(lambda d: log_cosh(d) - 0.1), VALUES, range=(0.0, math.inf)), "bug"),
    "range: Welsch without an end": (
        "range", lambda: planted(elementwise(welsch), VALUES, range=(0.0, math.inf)), "bug"),
    "range: a logarithm keeps growing": (
        "range", lambda: planted(elementwise(lambda d: d.square().log1p()), VALUES, range=(0.0, math.inf)), None),
    "range: Dice": ("range", lambda: planted(soft_dice, MASKS, range=(0.0, 1.0)), None),
    "chance: slightly too high": (
        "chance", lambda: chance_level.planted(chance_level.sound().spec.chance(None, {}).value + 0.01), "bug"),
    "floor: too low": ("floor", lambda: floor.planted(0.9), "bug"),
    "floor: too high": ("floor", lambda: floor.planted(1.1), "bug"),
    "closed-forms: off by 1e-9": ("closed-forms", lambda: closed_forms.planted(1 + 1e-9), "bug"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_planted_loss_is_told(name: str) -> None:
    check, make, expected = CASES[name]
    assert severity(check, make()) == expected


def test_a_batch_of_one_would_hide_class_weights() -> None:
    """Why distributions of targets are batches: with one sample the weight cancels in the mean."""
    weighted = partial(F.cross_entropy, weight=torch.arange(1, 6).double())
    case = Subject(name="weighted", call=weighted, arguments=LOGITS).case(0, N=1)
    assert float(weighted(*case)) == pytest.approx(float(F.cross_entropy(*case)), rel=1e-12)


def test_claims_speak_of_the_default_options() -> None:
    subject = planted(F.huber_loss, VALUES, Claim("lipschitz", 1.0))
    other = subject.with_options(reduction="sum")
    assert other is not None and claim_of(other, "lipschitz") is not None
    narrow = replace(subject, options={"delta": 0.5}, call=partial(F.huber_loss, delta=0.5))
    assert not by_default(narrow)
    assert claim_of(narrow, "lipschitz") is None
    assert severity("lipschitz", narrow) is None  # 0.5, unclaimed
    spelled_out = replace(subject, options={"delta": 1.0, "weight": None})
    assert by_default(spelled_out)


def test_without_a_contract_a_missing_property_is_by_design() -> None:
    for check, call in (
        ("convex", elementwise(welsch)),
        ("symmetric", elementwise(F.relu)),
        ("lipschitz", F.mse_loss),
    ):
        assert severity(check, Subject(name="anonymous", call=call, arguments=VALUES)) == "by-design"


@pytest.mark.parametrize("check", ["convex", "proper", "calibrated", "elicits", "additive", "range"])
def test_counterexamples_shrink(check: str) -> None:
    """To few samples and round numbers, and the small case still shows the fault."""
    subject = {
        "convex": lambda: planted(elementwise(welsch), VALUES),
        "proper": lambda: planted(focal, LOGITS),
        "calibrated": lambda: planted(lambda z, y: 0 * z.sum(), LOGITS),
        "elicits": lambda: planted(F.huber_loss, VALUES, elicits="mean"),
        "additive": lambda: planted(lambda x, t: F.mse_loss(x, t).sqrt(), VALUES),
        "range": value_range.broken,
    }[check]()
    found = answer(check, subject)
    assert found.case is not None and found.fails is not None
    small = shrink(subject, found.case, found.fails, seconds=1.0)
    assert found.fails(small)
    assert len(small[0]) <= len(found.case[0])
    if check in ("convex", "additive"):
        assert len(small[0]) <= 2


def test_classes_may_lie_along_any_axis() -> None:
    """[N, T, C] as language models have them."""
    tokens = (Argument("input", "logits", axes="N T C"), Argument("target", "class-index", axes="N T"))

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z.movedim(2, 1), y)

    assert severity("strictly-proper", planted(loss, tokens, Claim("strictly-proper"))) is None
    smoothed = planted(lambda z, y: F.cross_entropy(z.movedim(2, 1), y, label_smoothing=0.1), tokens)
    assert severity("proper", smoothed) == "by-design"


def test_one_model_scores_both_sides_of_a_pair() -> None:
    """The chance level of a pairwise loss is that of equal scores; of an interval, that of two quantiles."""
    pair = (Argument("chosen", "scores"), Argument("rejected", "scores"))

    def logistic(chosen: Tensor, rejected: Tensor) -> Tensor:
        return F.softplus(rejected - chosen).mean()

    def claims(value: float) -> Subject:
        return planted(logistic, pair, chance=lambda stats, options: Estimate(value))

    assert severity("chance", claims(math.log(2))) is None
    assert severity("chance", claims(0.5)) == "bug"


@pytest.mark.parametrize("module", [floor, chance_level])
def test_a_search_without_time_accuses_nobody(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a search stops above the minimum: that is no fault of the loss."""
    monkeypatch.setattr(module, "_SECONDS", 1e-9)
    for name in ("detection_sum", "brier", "cox"):
        (found,) = execute(module.CHECK, catalogue_subject(specs()[name]))
        assert found.outcome in ("pass", "not-applicable"), found


def test_a_loss_that_raises_is_let_through() -> None:
    def touchy(x: Tensor, t: Tensor) -> Tensor:
        raise ValueError("no")

    for check in ("convex", "shift-invariant", "additive"):
        with pytest.raises(Exception, match="ValueError: no"):
            answer(check, Subject(name="touchy", call=touchy, arguments=VALUES))
