"""Paths of scores of classes: the margin of the right class, or the way from uniform to a given distribution."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from losscope.losses.paths.path import (
    DOUBLE,
    MARGIN,
    Case,
    Path,
    by_margin,
    by_share,
    claims,
    filled,
    kinds_of,
    numbers,
    shape_of,
)
from losscope.losses.spec import LossSpec

_INDICES = ("class-index", "ordinal-index")


def paths(spec: LossSpec) -> Iterator[Path]:
    """By what the scores are compared with."""
    first, *others = kinds = kinds_of(spec)
    if kinds == ["log-probabilities", "class-index"]:
        yield _probability(spec)
    elif first != "logits":
        return
    elif not others:
        yield _alone(spec)
    elif others[0] in ("teacher-logits", "distribution"):
        yield from _towards(spec, others)
    elif others == ["label-set"]:
        yield _labels(spec)
    elif others[0] in _INDICES:
        yield from _indexed(spec, others)


def _indexed(spec: LossSpec, others: list[str]) -> Iterator[Path]:
    axes = (spec.arguments[0].axes or "N C").split()
    classes = spec.lengths["C"]
    if "C" not in axes:
        yield _thresholds(spec)
    elif others == ["ordinal-index", "events"]:
        yield _hazards(classes)
    elif others[1:] == ["advantages"]:
        for name, sign in (("advantage 1", 1.0), ("advantage −1", -1.0)):
            at = _margin(spec, 0, filled(sign, 1))
            label = f"margin of the action taken (of {classes})"
            yield Path(name=name, label=label, low=-MARGIN, high=MARGIN, at=at)
    elif len(others) == 1:
        right = 0 if others[0] == "class-index" else classes // 2
        where = "" if axes == ["N", "C"] else " at every place"
        label = f"margin of the right class (of {classes}){where}"
        yield by_margin(label=label, at=_margin(spec, right))


def _margin(spec: LossSpec, right: int, *rest: Tensor) -> Callable[[Tensor], Case]:
    """Score m for the class ``right`` and 0 for every other one, at every place."""
    logits, target = spec.arguments[:2]
    shape = shape_of(spec, logits)
    axis = (logits.axes or "N C").split().index("C")
    pattern = torch.zeros(shape, dtype=DOUBLE)
    pattern.select(axis, right).fill_(1.0)
    index = torch.full(shape_of(spec, target), right)
    return lambda m: (m * pattern, index, *rest)


def _probability(spec: LossSpec) -> Path:
    classes = spec.lengths["C"]
    right = torch.eye(1, classes, dtype=DOUBLE)
    index = torch.zeros(1, dtype=torch.long)
    return by_share(
        f"probability of the right class (of {classes})",
        lambda p: (right * p.log() + (1 - right) * ((1 - p) / (classes - 1)).log(), index),
        uninformed=1 / classes,
    )


def _alone(spec: LossSpec) -> Path:
    """Without a target: how far one class is ahead, or, where a common shift counts, the level of all scores."""
    shape = shape_of(spec, spec.arguments[0])
    classes = spec.lengths["C"]
    if claims(spec, "shift-invariant"):
        ahead = torch.eye(1, classes, dtype=DOUBLE)
        return Path(
            label=f"margin of one class (of {classes})", low=-MARGIN, high=MARGIN, at=lambda m: (m * ahead,)
        )
    even = -filled(float(torch.tensor(classes, dtype=DOUBLE).log()), *shape)
    return Path(label="ln Σ exp of the scores", low=-4.0, high=4.0, at=lambda x: (even + x,), perfect=0.0)


def _towards(spec: LossSpec, others: list[str]) -> Iterator[Path]:
    """Scores as multiples of those that make the given distribution: −1 reversed, 0 uniform, 1 equal."""
    classes = spec.lengths["C"]
    scores = numbers(2.0, 1.0, 0.0, -1.0, -2.0, *[0.0] * max(0, classes - 5))[None, :classes]
    given = {
        "teacher-logits": scores,
        "distribution": scores.softmax(1),
        "class-index": torch.zeros(1, dtype=torch.long),
    }
    if not given.keys() >= set(others):
        return
    whose = "the teacher's" if "teacher-logits" in others else "those of the target"
    yield Path(
        label=f"scores as a multiple of {whose} (−1: reversed, 0: uniform, 1: equal)",
        low=-1.0,
        high=2.0,
        at=lambda x: (x * scores, *(given[kind] for kind in others)),
        uninformed=0.0,
        perfect=1.0,
    )


def _labels(spec: LossSpec) -> Path:
    classes = spec.lengths["C"]
    pattern = numbers(1.0, 1.0, *[0.0] * (classes - 2))[None]
    labels = torch.full((1, classes), -1)
    labels[0, :2] = torch.arange(2)
    label = f"margin of the 2 right labels (of {classes})"
    return by_margin(label=label, at=lambda m: (m * pattern, labels))


def _thresholds(spec: LossSpec) -> Path:
    """One score per threshold between ordered classes: above those that the class has passed, below the others."""
    _, count = shape_of(spec, spec.arguments[0])
    right = (count + 1) // 2
    pattern = numbers(*(1.0 if k < right else -1.0 for k in range(count)))[None]
    label = f"score towards the right side at each of {count} thresholds"
    return by_margin(label=label, at=lambda m: (m * pattern, torch.tensor([right])))


def _hazards(intervals: int) -> Path:
    """An event in the middle interval: hazards should be small before it, and large in it."""
    right = intervals // 2
    pattern = numbers(*(-1.0 if k < right else float(k == right) for k in range(intervals)))[None]
    index, event = torch.tensor([right]), filled(1.0, 1)
    label = f"score towards the right hazard in each interval up to the event (of {intervals})"
    return by_margin(label=label, at=lambda m: (m * pattern, index, event))
