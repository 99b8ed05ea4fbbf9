"""What is wrong keeps a gradient; vectors are normalised one by one; the mean comes last; options shape the loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losscope
from losscope.checks import continuity, finite, kl_direction, saturation
from losscope.checks.engine import execute
from losscope.checks.extremes import Extreme
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.losses.arguments import Argument

CLASSES = (Argument("input", "logits"), Argument("target", "class-index"))
BITS = (Argument("input", "binary-logits"), Argument("target", "binary"))
VALUES = (Argument("input", "values"), Argument("target", "real"))
PAIR = (Argument("first", "embeddings"), Argument("second", "embeddings"))
TAUGHT = (Argument("student", "logits"), Argument("teacher", "teacher-logits"))


def said(loss, task: str, *only: str) -> list[str]:
    """Severities, worst first."""
    found = losscope.audit(loss, task, only=only, isolate=False)
    return ["bug"] * len(found.bugs) + ["convention"] * len(found.conventions)


def told(check, loss, arguments) -> list[Evidence]:
    return execute(check, Subject(name="loss", call=loss, arguments=arguments))


def picked(z: Tensor, y: Tensor) -> Tensor:
    return z.softmax(1).gather(1, y[:, None])[:, 0]


# -- gradients that end
@pytest.mark.parametrize("eps", [1e-12, 1e-8, 1e-5])
def test_the_gradient_of_a_bounded_logarithm_ends_at_its_bound(eps: float) -> None:
    """d/dz of -ln(p + ε) is p/(p + ε) that of -ln p: half of it is left at p = ε."""
    subject = Subject(name="loss", call=lambda z, y: -(picked(z, y) + eps).log().mean(), arguments=CLASSES)
    found = saturation.saturation(subject)
    assert found is not None
    assert found.before <= -math.log(eps) <= found.at
    share = math.exp(-found.at) / (math.exp(-found.at) + eps)
    assert found.gone / found.near == pytest.approx(share * 2**0.5 / (2**0.5), rel=0.5)


@pytest.mark.parametrize(
    ("loss", "arguments", "lost"),
    [
        (lambda z, y: -picked(z, y).clamp(min=1e-7).log().mean(), CLASSES, True),
        (lambda z, t: F.binary_cross_entropy(z.sigmoid().clamp(1e-6, 1 - 1e-6), t), BITS, True),
        (F.cross_entropy, CLASSES, False),
        (F.binary_cross_entropy_with_logits, BITS, False),
        (lambda z, y: ((1 - picked(z, y) ** 0.7) / 0.7).mean(), CLASSES, False),
        (lambda z, y: ((1 - picked(z, y) ** 0.3) / 0.3).mean(), CLASSES, False),
        (lambda z, y: (1 - picked(z, y)).mean(), CLASSES, False),
        (lambda z, t: (z.sigmoid() - t).square().mean(), BITS, False),
    ],
)  # fmt: skip
def test_only_a_bounded_logarithm_loses_its_gradient_at_once(loss, arguments, lost: bool) -> None:
    subject = Subject(name="loss", call=loss, arguments=arguments)
    assert (saturation.saturation(subject) is not None) is lost


def test_a_bounded_logarithm_is_not_called_convex() -> None:
    def nll_of_softmax(logits: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss((logits.softmax(1) + 1e-8).log(), target)

    found = losscope.audit(nll_of_softmax, "multi-class", only=["convex", "hard-samples"], isolate=False)
    assert found.properties["convex"] is False
    assert [e.check for e in found.conventions] == ["hard-samples"]


def kept(logits: Tensor, target: Tensor, *, hardest: bool) -> Tensor:
    each = F.cross_entropy(logits, target, reduction="none")
    return each.sort(descending=hardest).values[: max(1, int(0.7 * len(each)))].mean()


def easiest(logits: Tensor, target: Tensor) -> Tensor:
    return kept(logits, target, hardest=False)


def hardest(logits: Tensor, target: Tensor) -> Tensor:
    return kept(logits, target, hardest=True)


def clipped_error(pred: Tensor, target: Tensor) -> Tensor:
    return (pred - target).clamp(-1, 1).square().mean()


def clipped_slope(pred: Tensor, target: Tensor) -> Tensor:
    return F.huber_loss(pred, target)


@pytest.mark.parametrize(
    ("loss", "task", "expected"),
    [
        (easiest, "multi-class", ["convention"]),
        (hardest, "multi-class", []),
        (clipped_error, "regression", ["convention"]),
        (clipped_slope, "regression", []),
    ],
)
def test_a_clearly_wrong_sample_is_not_dropped(loss, task: str, expected: list[str]) -> None:
    assert said(loss, task, "hard-samples") == expected


# -- vectors
def batch_normalised_nce(first: Tensor, second: Tensor) -> Tensor:
    scores = F.normalize(first, dim=0) @ F.normalize(second, dim=0).T
    return F.cross_entropy(scores / 0.1, torch.arange(len(first)))


def column_cosine(first: Tensor, second: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(first, second, dim=0)).mean()


def row_cosine(first: Tensor, second: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(first, second, dim=1)).mean()


def inner_product(first: Tensor, second: Tensor) -> Tensor:
    return F.cross_entropy(first @ second.T, torch.arange(len(first)))


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """One column with one column over the batch: it takes the mean away, as Barlow Twins does."""
    return column_cosine(first - first.mean(0), second - second.mean(0))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (batch_normalised_nce, ["convention"]),
        (column_cosine, ["bug"]),
        (row_cosine, []),
        (inner_product, []),
        (correlation, []),
    ],
)
def test_vectors_are_normalised_one_by_one(loss, expected: list[str]) -> None:
    assert said(loss, "contrastive", "vector-axis") == expected


# -- a mean that comes first
def focal(logits: Tensor, target: Tensor) -> Tensor:
    ce = F.cross_entropy(logits, target)
    return (1 - (-ce).exp()) ** 2 * ce


def binary_focal(logits: Tensor, target: Tensor) -> Tensor:
    ce = F.binary_cross_entropy_with_logits(logits, target)
    return (1 - (-ce).exp()) ** 2 * ce


def weighted(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, weight=torch.arange(1.0, 6.0, dtype=logits.dtype))


def doubled(logits: Tensor, target: Tensor) -> Tensor:
    return 2 * F.cross_entropy(logits, target) + 1


@pytest.mark.parametrize(
    ("loss", "task", "expected"),
    [
        (focal, "multi-class", ["convention"]),
        (binary_focal, "binary", ["convention"]),
        (weighted, "multi-class", []),
        (doubled, "multi-class", []),
        (hardest, "multi-class", []),
    ],
)
def test_the_mean_comes_last(loss, task: str, expected: list[str]) -> None:
    assert said(loss, task, "mean-first") == expected


# -- options
def beta_outside(chosen: Tensor, rejected: Tensor, beta: float = 0.1) -> Tensor:
    return -beta * F.logsigmoid(chosen - rejected).mean()


def beta_unused(chosen: Tensor, rejected: Tensor, beta: float = 0.1) -> Tensor:
    return -F.logsigmoid(chosen - rejected).mean()


def beta_inside(chosen: Tensor, rejected: Tensor, beta: float = 0.1) -> Tensor:
    return -F.logsigmoid(beta * (chosen - rejected)).mean()


def kl_weight(mu: Tensor, logvar: Tensor, beta: float = 4.0) -> Tensor:
    return -0.5 * beta * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean()


class Margin(nn.Module):
    """The margin is taken off the right class, or off all of them; ``limit`` is computed when it is built."""

    def __init__(self, m: float = 0.35, everywhere: bool = False) -> None:
        super().__init__()
        self.m, self.limit, self.everywhere = m, m, everywhere

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        hot = F.one_hot(label, logits.shape[1])
        return F.cross_entropy(logits - self.limit * (1 if self.everywhere else hot), label)


class MarginOfAll(Margin):
    def __init__(self, m: float = 0.35) -> None:
        super().__init__(m, True)


@pytest.mark.parametrize(
    ("loss", "task", "expected"),
    [
        (beta_outside, "reference-free-preference", ["convention"]),
        (beta_unused, "reference-free-preference", ["convention"]),
        (beta_inside, "reference-free-preference", []),
        (kl_weight, "latent", []),
        (Margin, "multi-class", []),
        (MarginOfAll, "multi-class", ["convention"]),
        (Margin(), "multi-class", []),  # of a live module, nobody knows what was computed from its options
    ],
)
def test_an_option_shapes_the_loss(loss, task: str, expected: list[str]) -> None:
    assert said(loss, task, "option-effect") == expected


# -- directions
def js(s: Tensor, t: Tensor) -> Tensor:
    p, q = s.softmax(1), t.softmax(1)
    m = ((p + q) / 2).clamp_min(1e-300).log()
    return (
        0.5
        * ((p * (p.clamp_min(1e-300).log() - m)).sum(1) + (q * (q.clamp_min(1e-300).log() - m)).sum(1)).mean()
    )


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (lambda s, t: F.kl_div((s / 4).log_softmax(1), (t / 4).softmax(1), reduction="batchmean"), "pass"),
        (lambda s, t: F.cross_entropy(s, t.softmax(1)), "pass"),
        (lambda s, t: F.kl_div(t.log_softmax(1), s.softmax(1), reduction="batchmean"), "fail"),
        (js, "not-applicable"),
        (F.mse_loss, "not-applicable"),
    ],
)
def test_the_direction_of_a_divergence(loss, outcome: str) -> None:
    (found,) = told(kl_direction.CHECK, loss, TAUGHT)
    assert found.outcome == outcome
    assert outcome != "fail" or found.severity == "convention"


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
