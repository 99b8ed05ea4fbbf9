"""Two batches of vectors, scores or boxes without labels: pairs, two samples, or two sides of a game."""

from collections.abc import Mapping

import torch

from losscope.checks.probing import FITS, LIKELY, MAYBE, NOT, Probe, any_real, at
from losscope.checks.subject import Subject
from losscope.checks.symmetries import additive, exchangeable, regrouped


def _contrastive(subject: Subject) -> float:
    """The right partner is cheaper than that of another row, and every row is compared with the others."""
    first, _ = subject.case(0)
    paired = at(subject, (first, first)) < at(subject, (first, first.roll(1, 0)))
    if not paired or regrouped(subject):
        return NOT
    return MAYBE if additive(subject) or exchangeable(subject) else FITS


def _samples(subject: Subject) -> float:
    """Only the sets count, and a set is near itself."""
    _, second = subject.case(0)
    moved = at(subject, (second, second)) < at(subject, (second + 3, second))
    if not moved or not regrouped(subject):
        return NOT
    return MAYBE if additive(subject) else FITS


def _game(subject: Subject) -> float:
    """Only the sets count: high scores of the first and low ones of the second are cheap."""
    return FITS if _opposed(subject) and regrouped(subject) else NOT


def _preference(subject: Subject) -> float:
    """The first is to be the likelier of each pair."""
    return LIKELY if _opposed(subject) and not regrouped(subject) else NOT


def _policy(subject: Subject) -> float:
    """What had an advantage is to become likelier, what had a disadvantage less likely; by name only."""
    case = subject.case(0)
    now, gain = case[0], case[-1]
    step = 0.05 * gain.sign()
    right, wrong = (at(subject, (now + s * step, *case[1:])) for s in (1, -1))
    flipped = at(subject, (*case[:-1], -gain)) + at(subject, case)
    return MAYBE if right < wrong and abs(flipped) <= abs(at(subject, case)) * 2 + 1e-9 else NOT


def _opposed(subject: Subject) -> bool:
    first, second, *rest = subject.case(0)
    high, low = torch.full_like(first, -0.5), torch.full_like(second, -5.0)
    if subject.kind(0) == "scores":
        high, low = high + 2.5, low + 3.5
    return at(subject, (high, low, *rest)) < at(subject, (low, high, *rest))


def _boxes(subject: Subject) -> float:
    """The same box is the cheapest; both may be moved and enlarged, but not one side alone."""
    boxes, others = subject.case(0)
    same = at(subject, (others, others))
    worse = [boxes, others + 0.1, others - 0.1, others * 0.8]
    if not all(same < at(subject, (box, others)) for box in worse):
        return NOT
    here = at(subject, (boxes, others))
    side = torch.tensor([0.2, 0.0, 0.0, 0.0], dtype=boxes.dtype)
    free = [at(subject, (2 * boxes + 0.3, 2 * others + 0.3)), at(subject, (boxes - side, others - side))]
    moved, stretched = (abs(value - here) > 1e-6 for value in free)
    return FITS if stretched and not moved and not any_real(subject) else MAYBE


PROBES: Mapping[str, Probe] = {
    "contrastive": _contrastive,
    "samples": _samples,
    "game": _game,
    "reference-free-preference": _preference,
    "pairwise": _preference,
    "preference": _preference,
    **dict.fromkeys(("policy", "policy-ratio", "reinforce"), _policy),
    "boxes": _boxes,
}
