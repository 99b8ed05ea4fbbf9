"""What is wrong is not rewarded: jumps, labels, pairs, spreads; and values that are carried on along a line."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import losscope
from losscope.checks import continuity, finite
from losscope.checks.engine import execute
from losscope.checks.extremes import Extreme
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.losses.arguments import Argument

VALUES = (Argument("input", "values"), Argument("target", "real"))


def said(loss, task: str, *only: str) -> list[str]:
    """Severities, worst first."""
    found = losscope.audit(loss, task, only=only, isolate=False)
    return ["bug"] * len(found.bugs) + ["convention"] * len(found.conventions)


def told(check, loss, arguments) -> list[Evidence]:
    return execute(check, Subject(name="loss", call=loss, arguments=arguments))


# -- jumps
def in_two_pieces(step: float):
    """Absolute error, and above 1 the same and a step."""

    def loss(x: Tensor, t: Tensor) -> Tensor:
        d = (x - t).abs()
        return torch.where(d < 1, d, d + step).mean()

    return loss


@pytest.mark.parametrize(("step", "severity"), [(0.5, "convention"), (-0.5, "bug"), (0.0, None)])
def test_a_larger_error_may_not_suddenly_cost_less(step: float, severity: str | None) -> None:
    (found,) = told(continuity.CHECK, in_two_pieces(step), VALUES)
    assert (found.severity if found.outcome == "fail" else None) == severity


# -- values beyond float64, carried on along a straight line
LINES = {
    "straight": (lambda s: 3.0 + 0.5 * s, 3.0 + 0.5e4),
    "straight but for a tail": (lambda s: s + math.exp(-s), 1e4),
    "constant": (lambda s: 7.0, 7.0),
    "square": (lambda s: s * s, None),
    "s ln s": (lambda s: s * math.log(s), None),
    "root": (math.sqrt, None),
}


def carried_on(growth) -> float | None:
    """What is said of a loss that grows like this, of predictions of size 1e4."""
    call = lambda x, t: torch.tensor(growth(float(x.abs().max())), dtype=torch.float64)  # noqa: E731
    subject = Subject(name="loss", call=call, arguments=VALUES)
    ones = torch.ones(2, 3, dtype=torch.float64)
    return finite._on_a_line(subject, Extreme("large", (1e4 * ones, ones), 1e4, at=(0, ones)))


@pytest.mark.parametrize("name", LINES)
def test_a_straight_line_is_carried_on_and_nothing_else(name: str) -> None:
    growth, expected = LINES[name]
    assert carried_on(growth) == (None if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize(
    "mutant", [{"_STRAIGHT": math.inf}, {"_EVEN_SIZES": ((160.0, 320.0, 480.0),)}, {"_STRAIGHT": -1.0}]
)
def test_a_wrong_straight_line_is_noticed(mutant: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutants: every growth is taken for straight; nothing is; sizes of another spacing must not matter."""
    for name, value in mutant.items():
        monkeypatch.setattr(finite, name, value)
    wrong = [
        name
        for name, (growth, expected) in LINES.items()
        if (carried_on(growth) or math.nan) != pytest.approx(expected or math.nan, rel=1e-6, nan_ok=True)
    ]
    assert bool(wrong) is ("_STRAIGHT" in mutant)


# -- what is wrong for sure, what is right for sure, what belongs together
def focal_of_sigmoid(logits: Tensor, labels: Tensor) -> Tensor:
    """The modulating factor forgets the label."""
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return ((1 - logits.sigmoid()) ** 2 * each).mean()


def focal_of_bits(logits: Tensor, labels: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return ((1 - (-each).exp()) ** 2 * each).mean()


def without_positives(first: Tensor, second: Tensor) -> Tensor:
    """SigLIP whose labels are 0 on the diagonal, in place of 1."""
    scores = 10 * F.normalize(first, dim=1) @ F.normalize(second, dim=1).T - 10
    return -F.logsigmoid((torch.eye(len(first)) - 1) * scores).sum() / len(first)


def with_positives(first: Tensor, second: Tensor) -> Tensor:
    scores = 10 * F.normalize(first, dim=1) @ F.normalize(second, dim=1).T - 10
    return -F.logsigmoid((2 * torch.eye(len(first)) - 1) * scores).sum() / len(first)


def pushing(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Positive pairs cost more, the more alike they are."""
    z = F.normalize(embeddings, dim=1)
    same = labels[:, None] == labels[None]
    return F.softplus(torch.where(same, z @ z.T, z @ z.T - 0.2)).mean()


def one_side(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 - fake).mean()


def both_sides(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def half_variance(mu: Tensor, sigma: Tensor) -> Tensor:
    """ln σ in place of ln σ²."""
    return 0.5 * (mu.square() + sigma.square() - sigma.log() - 1).sum(1).mean()


def over_sigma(mean: Tensor, target: Tensor, var: Tensor) -> Tensor:
    """The log of a variance beside a squared error over twice of it."""
    return (0.25 * (target - mean).square() / var + 0.5 * var.log()).mean()


def gaussian(mean: Tensor, target: Tensor, var: Tensor) -> Tensor:
    return (0.5 * (target - mean).square() / var + 0.5 * var.log()).mean()


@pytest.mark.parametrize(
    ("loss", "task", "check", "expected"),
    [
        (focal_of_sigmoid, "binary", "hard-samples", ["bug"]),
        (focal_of_bits, "binary", "hard-samples", []),
        (without_positives, "contrastive", "perfect", ["convention"]),
        (with_positives, "contrastive", "perfect", []),
        (pushing, "metric", "perfect", ["bug"]),
        (one_side, "game", "perfect", ["bug"]),
        (both_sides, "game", "perfect", []),
        (half_variance, "latent-scale", "spread", ["bug"]),
        (over_sigma, "heteroscedastic", "spread", ["convention"]),
        (gaussian, "heteroscedastic", "spread", []),
    ],
)
def test_what_is_wrong_is_not_rewarded(loss, task: str, check: str, expected: list[str]) -> None:
    assert said(loss, task, check) == expected


def si_snr(estimate: Tensor, source: Tensor) -> Tensor:
    """Negative scale-invariant signal-to-noise ratio: it sees neither scale nor sign."""
    e, s = (x - x.mean(1, keepdim=True) for x in (estimate, source))
    along = (e * s).sum(1, keepdim=True) * s / (s.square().sum(1, keepdim=True) + 1e-8)
    ratio = along.square().sum(1) / ((e - along).square().sum(1) + 1e-8)
    return -10 * torch.log10(ratio + 1e-8).mean()


def smoothed_beyond_one(pred: Tensor, targets: Tensor) -> Tensor:
    """ConvE: 1/n is added in place of ε/n, and targets exceed 1."""
    return F.binary_cross_entropy_with_logits(pred, 0.9 * targets + 1 / targets.shape[1])


@pytest.mark.parametrize(
    ("loss", "task", "bugs"), [(si_snr, "regression", []), (smoothed_beyond_one, "binary", ["bounded-below"])]
)
def test_what_the_reading_and_the_verdict_are(loss, task: str, bugs: list[str]) -> None:
    found = losscope.audit(loss, only=["bounded-below", "hard-samples"], isolate=False)
    assert found.task == task
    assert [e.check for e in found.bugs] == bugs


def test_grad_mode_is_left_as_it_was() -> None:
    def switches(x: Tensor, t: Tensor) -> Tensor:
        loss = F.mse_loss(x, t)
        torch.set_grad_enabled(False)
        torch.set_grad_enabled(True)
        return loss

    assert said(switches, "regression", "quiet") == ["convention"]
    assert said(F.mse_loss, "regression", "quiet") == []
