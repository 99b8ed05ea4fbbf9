"""Pairs with a label, and triplets: one pair is meant to be alike, the other to be apart."""

from collections.abc import Mapping

import torch
from torch import Tensor

from losscope.checks.probing import FITS, LIKELY, MAYBE, NOT, Probe, at
from losscope.checks.subject import Subject
from losscope.checks.symmetries import rotated


def _pairs(subject: Subject) -> float:
    """One label wants pairs alike, the other wants them apart, and both are right at about the same price."""
    first, _, labels = subject.case(0)
    if subject.kind(0) == "scores":
        alike, apart = (first.abs() + 2, -first.abs() - 2), (-first.abs() - 2, first.abs() + 2)
    else:
        alike, apart = (first, first + 1e-4), (first, -3 * first)
    low = 0.0 if "binary" in subject.kind(2) else -1.0

    def value(pair: tuple[Tensor, Tensor], label: float) -> float:
        return at(subject, (*pair, torch.full_like(labels, label)))

    prices = {(p, y): value(pair, y) for p, pair in (("+", alike), ("-", apart)) for y in (low, 1.0)}
    for one, other in ((low, 1.0), (1.0, low)):
        right, wrong = (prices["+", one], prices["-", other]), (prices["-", one], prices["+", other])
        if right[0] < wrong[0] and right[1] < wrong[1]:
            spread = min(wrong) - min(right)
            return FITS if abs(right[0] - right[1]) <= 0.05 * spread else MAYBE
    return NOT


def _triplet(subject: Subject) -> float:
    """The near one is cheaper as the positive; a negative at the origin is a point like any other, and no mask."""
    anchor = subject.case(0)[0]
    near, far = anchor + 1e-3, -3 * anchor
    right = at(subject, (anchor, near, far)) < at(subject, (anchor, far, near))
    origin = torch.zeros_like(anchor)
    if not right or not at(subject, (anchor, near, origin)) < at(subject, (anchor, far, origin)):
        return NOT
    return FITS if rotated(subject) else LIKELY


PROBES: Mapping[str, Probe] = {
    "pair-embedding": _pairs,
    "pair-ranking": _pairs,
    "pair-binary": _pairs,
    "pair-ranking-binary": _pairs,
    "triplet": _triplet,
}
