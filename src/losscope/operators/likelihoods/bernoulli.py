"""Bernoulli: binary cross-entropy of logits, or of probabilities that the model gives itself.

In the logit s = p - t with E s² = p(1-p); in the probability s = (p - t) / (p(1-p)) with E s² = 1 / (p(1-p)). With
``pos_weight`` c a positive label counts c times, with ``weight`` each label as often as that says.
"""

import torch
from torch import Tensor

from losscope.operators.likelihood import Likelihood, Rows, View
from losscope.operators.likelihoods.elements import Elements, ratio

_TINY = 1e-12  # what torch keeps the denominator of the slope above


def _read(view: View) -> Rows | None:
    (f,), (slope,) = view.predictions, view.slopes
    (curvature,) = view.curve([torch.ones_like(f)])
    of_probabilities = view.term.prediction_is == "probabilities" and _same(view.term.prediction, f)
    return (
        _probabilities(view, f, slope, curvature) if of_probabilities else _logits(view, f, slope, curvature)
    )


def _same(read: Tensor | None, f: Tensor) -> bool:
    return (
        read is not None and read.numel() == f.numel() and torch.equal(read.reshape(-1).to(f), f.reshape(-1))
    )


def _logits(view: View, z: Tensor, slope: Tensor, curvature: Tensor) -> Rows | None:
    p = z.sigmoid()
    variance = p * (1 - p)
    mass = ratio(curvature, variance, slope.abs())
    # slope = m(p - t) for a target between 0 and 1
    room = view.tolerance * mass + view.tolerance * float(mass.abs().max())
    if bool((mass < 0).any()) or bool(
        (slope > mass * p + room).any() | (slope < mass * (p - 1) - room).any()
    ):
        return None

    def draw(generator: torch.Generator) -> list[Tensor]:
        return [mass.sqrt() * (p - torch.bernoulli(p, generator=generator))]

    return Elements([slope], mass, [mass * variance], draw)


def _probabilities(view: View, p: Tensor, slope: Tensor, curvature: Tensor) -> Rows | None:
    """-a ln p - b ln(1-p), where a + b is the mass: both follow from slope and curvature."""
    variance = (p * (1 - p)).clamp_min(_TINY)
    s, c = slope * variance, curvature * variance.square()  # b p - a (1-p), a (1-p)² + b p²
    mass = ratio(c - p * s, 1 - p, s.abs()) + ratio(c + (1 - p) * s, p, s.abs())
    if bool((mass < -view.tolerance * float(mass.abs().max())).any()):
        return None
    mass = mass.clamp_min(0)

    def draw(generator: torch.Generator) -> list[Tensor]:
        return [mass.sqrt() * (p - torch.bernoulli(p, generator=generator)) / variance]

    return Elements([slope], mass, [mass / variance], draw)


LIKELIHOOD = Likelihood(("binary_cross_entropy", "binary_cross_entropy_with_logits"), _read)
