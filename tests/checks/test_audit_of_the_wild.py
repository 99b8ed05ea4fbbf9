"""Losses as met in the wild: what masks hide, values that float64 loses, falls that end in minus infinity."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.checks import bounded_below, finite, ignored, target_validation
from losscope.checks.engine import execute
from losscope.checks.extremes import extremes
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.losses.arguments import Argument

TOKENS = (
    Argument("input", "logits", "N T C"),
    Argument("target", "class-index", "N T"),
    Argument("mask", "binary", "N T", "fixed"),
)
CLASSES = (Argument("input", "logits"), Argument("target", "class-index"))
LATENT = (Argument("mu", "values"), Argument("logvar", "log-scale"))


def tokens(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


def mean_of_counted(z: Tensor, y: Tensor, m: Tensor) -> Tensor:
    z, y = torch.where(m.bool()[..., None], z, 0.0), torch.where(m.bool(), y, 0)
    return (tokens(z, y) * m).sum() / m.sum().clamp(min=1)


def mean_of_all(z: Tensor, y: Tensor, m: Tensor) -> Tensor:
    return (tokens(z, y) * m).mean()


def mean_of_longest(z: Tensor, y: Tensor, m: Tensor) -> Tensor:
    """Whole samples are left out rightly; places within a sample count in the denominator."""
    return (tokens(z, y) * m).sum() / (m.shape[1] * (m.sum(1) > 0).sum().clamp(min=1))


def mean_of_means(z: Tensor, y: Tensor, m: Tensor) -> Tensor:
    return ((tokens(z, y) * m).sum(1) / m.sum(1).clamp(min=1)).mean()


def told(check, loss, arguments) -> list[Evidence]:
    return execute(check, Subject(name="loss", call=loss, arguments=arguments))


@pytest.mark.parametrize(
    ("loss", "severity"),
    [(mean_of_counted, ""), (mean_of_all, "bug"), (mean_of_longest, "bug"), (mean_of_means, "convention")],
)
def test_masked_places_do_not_count_in_a_mean(loss, severity: str) -> None:
    found = [e.severity for e in told(ignored.CHECK, loss, TOKENS) if "denominator" in str(e.text)]
    assert found == ([severity] if severity else [])


def test_a_wrong_label_behind_a_mask_is_no_fault() -> None:
    assert all(e.outcome == "pass" for e in told(target_validation.CHECK, mean_of_counted, TOKENS))


def test_a_wrong_label_is_shown_where_it_counts() -> None:
    def wraps(z: Tensor, y: Tensor, m: Tensor) -> Tensor:
        each = -z.log_softmax(-1).gather(-1, (y % z.shape[-1])[..., None])[..., 0]
        return (each * m).sum() / m.sum().clamp(min=1)

    (found,) = told(target_validation.CHECK, wraps, TOKENS)
    assert found.severity == "bug" and found.counterexample is not None
    _, label, mask = (eval(a, {"torch": torch}) for a in found.counterexample.arguments)
    assert bool(((label == -1) & (mask > 0)).any())


def smoothed(z: Tensor, y: Tensor, log_softmax=lambda z: z.softmax(1).log()) -> Tensor:
    share = torch.full_like(z, 0.025).scatter(1, y[:, None], 0.9)
    return -(share * log_softmax(z)).sum(1).mean()


def test_the_true_value_of_a_loss_with_an_offset() -> None:
    subject = Subject(name="loss", call=smoothed, arguments=CLASSES)
    mixed = next(e for e in extremes(subject) if "1e4 (mixed)" in e.name)
    exact = float(smoothed(*mixed.case, log_softmax=lambda z: z.log_softmax(1)))
    assert finite.true_value(subject, mixed)[0] == pytest.approx(exact, rel=1e-5)
    evidence = told(finite.CHECK, smoothed, CLASSES)
    assert f"about {exact:.4g}" in str(evidence[0].text)
    assert evidence[0].counterexample is not None
    assert evidence[0].counterexample.expected == f"about {exact:.4g}"


def test_what_does_not_grow_along_a_line_is_told_without_a_figure() -> None:
    def curved(x: Tensor, t: Tensor) -> Tensor:
        d = (x - t).abs()
        return ((d.square() * d.exp()).log() * d.square()).mean()  # d³ + 2d² ln d

    pair = (Argument("input", "values"), Argument("target", "real"))
    evidence = told(finite.CHECK, curved, pair)
    assert evidence[0].outcome == "fail"
    assert all("about" not in str(e.text) for e in evidence)


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean()


def test_minus_infinity_is_a_fall_without_end() -> None:
    (found,) = told(bounded_below.CHECK, lambda m, v: -divergence(m, v), LATENT)
    assert found.severity == "bug" and "inf" not in str(found.text)


def test_the_least_value_is_one_that_was_seen() -> None:
    (found,) = told(bounded_below.CHECK, divergence, LATENT)
    assert found.outcome == "pass"
    (least,) = re.findall(r"is (\S+)$", str(found.text))
    case = Subject(name="loss", call=divergence, arguments=LATENT).case(0)
    assert 0 <= float(least) <= float(divergence(*case))
