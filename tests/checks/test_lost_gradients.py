"""What is wrong keeps a gradient; vectors are normalised one by one; the mean comes last; options shape the loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losscope
from losscope.checks import kl_direction, saturation
from losscope.checks.engine import execute
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
