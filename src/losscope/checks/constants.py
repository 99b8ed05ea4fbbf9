"""Options and statistics as contracts want them, and the loss of the best predictions, found numerically."""

import inspect
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.checks.domains import Free, from_domain
from losscope.checks.minimise import minimise, now
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.target_stats import TargetStats

_BINARY = frozenset({"binary", "binary-label", "mask", "unit", "events"})
_DISTRIBUTIONS = frozenset({"one-hot", "distribution"})
_SURE = 30.0
_STRETCHES = (10.0, 1e3, 1e6)
NO_MEAN = "its reduction is not the mean"


def averaged(subject: Subject) -> Subject | None:
    """The same loss with ``reduction="mean"``; ``None`` where it is made otherwise and cannot be changed."""
    if subject.options.get("reduction", "mean") == "mean":
        return subject
    return subject.with_options(reduction="mean")


def options_of(subject: Subject, case: Sequence[Tensor]) -> dict[str, Any]:
    """The options of the loss, its defaults included, and what a contract learns from the data: kind and classes."""
    known: dict[str, Any] = {}
    if subject.spec is not None and subject.spec.function is not None:
        try:
            parameters = inspect.signature(subject.spec.function).parameters.values()
        except (TypeError, ValueError):  # a builtin without a signature
            parameters = ()
        plain = (p for p in parameters if isinstance(p.default, int | float | str))
        known = {p.name: p.default for p in plain}
    known |= {k: v.tolist() if isinstance(v, Tensor) else v for k, v in subject.options.items()}
    for i in subject.predictions:
        if (axis := subject.axis(i, "C")) is not None:
            known["num_classes"] = case[i].shape[axis]
            break
    known["candidates"] = subject.count(case)
    if subject.targets:
        kind, value = subject.kind(subject.targets[0]), case[subject.targets[0]]
        known["target"] = (
            "distribution"
            if kind in _DISTRIBUTIONS
            else "binary"
            if kind in _BINARY
            else "real"
            if value.dtype.is_floating_point
            else "class"
        )
    return known


def stats_of(subject: Subject, case: Sequence[Tensor], options: dict[str, Any]) -> TargetStats:
    """Statistics of the first target."""
    stats = TargetStats()
    if subject.targets:
        stats.update(case[subject.targets[0]].numpy(), options)
    return stats


def skewed(subject: Subject, case: Case, seed: int) -> Case:
    """The case with unbalanced targets: where all are equally frequent, many wrong chance levels are right."""
    generator = torch.Generator().manual_seed(seed)
    changes = {}
    for i in subject.targets:
        kind, value = subject.kind(i), case[i]
        uniform = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        if kind in ("class-index", "class-index-map", "ordinal-index"):
            classes = int(value.max()) + 1
            changes[i] = (classes * uniform**2).long().clamp(max=classes - 1)
        elif kind == "one-hot":
            classes = value.shape[1]
            index = (classes * uniform.select(1, 0) ** 2).long().clamp(max=classes - 1)
            changes[i] = torch.nn.functional.one_hot(index, classes).movedim(-1, 1).double()
        elif kind in _BINARY - {"unit"}:
            changes[i] = (uniform < 0.3).double()
        elif kind in ("sign", "sign-label"):
            changes[i] = 2 * (uniform < 0.3).double() - 1
        elif kind == "real":
            changes[i] = 1 + value + 0.3 * value.square()
    return replaced(case, changes)


def best(
    subject: Subject,
    case: Case,
    shared: frozenset[str],
    *,
    seconds: float,
    goal: float,
    bound: float = 200.0,
    tied: bool = False,
) -> tuple[float, bool]:
    """The smallest loss over predictions that are equal along the axes ``shared``, and whether all was searched.

    An upper bound of the minimum. The ends of the searches are also stretched, for minima at infinity. Searching ends
    when ``goal`` is reached, or for lack of time, which makes the second answer false.
    With ``tied`` predictions of the same kind are equal, as from one model that ignores what it is shown.
    """
    free = Free(subject, case, shared)
    generator = torch.Generator().manual_seed(5)
    starts = [
        free.random(generator),
        torch.zeros(free.size, dtype=torch.float64),
        free.random(generator, 3.0),
    ]
    if not shared:
        starts.insert(1, perfect(free))
    kept = _tied(free) if tied else torch.arange(free.size)

    def loss(vector: Tensor) -> Tensor:
        return free.value(vector[kept])

    deadline, least, done = now() + seconds, math.inf, True
    for start in starts:
        left = deadline - time.process_time()
        if least <= goal:
            break
        if left < 0 and math.isfinite(least):
            return least, False
        vector, value, ended = minimise(loss, start, seconds=max(left / 2, seconds / 4), bound=bound)
        done = done and ended
        with torch.no_grad():
            places = [(p, f) for p in (None, *subject.predictions) for f in _STRETCHES]
            far = [float(loss(_stretched(free, vector, p, f))) for p, f in places]
        least = min([least, value, *(v for v in far if not math.isnan(v))])
    return least, done


UNPROVEN = Text(
    en="the search reached {found:.6g} only, above the {claimed:.6g} of the contract: that proves nothing",
    zh="搜索只达到 {found:.6g}，仍高于契约的 {claimed:.6g}：这不能说明问题",
)
"""For a search that time ended, or a contract found by equal values: what was reached accuses nobody."""


def has_twins(subject: Subject) -> bool:
    """Whether two predictions are of the same kind."""
    kinds = [subject.kind(i) for i in subject.predictions]
    return len(set(kinds)) < len(kinds)


def _tied(free: Free) -> Tensor:
    """For every number of the vector the one that stands for it: that of the first prediction of its kind."""
    first: dict[tuple[str, int], int] = {}
    index, start = [], 0
    for p in free.subject.predictions:
        size = torch.Size(free.shape(p)).numel()
        begin = first.setdefault((free.subject.kind(p), size), start)
        index.append(torch.arange(begin, begin + size))
        start += size
    return torch.cat(index)


def _aimed(kind: str, target: Tensor) -> Tensor:
    """The free vector of a prediction that is the target, or whose sigmoid is."""
    if kind.endswith("logits") and bool(((target >= 0) & (target <= 1)).all()):
        return from_domain("probabilities", target).clamp(-_SURE, _SURE)
    return from_domain(kind, target)


def perfect(free: Free) -> Tensor:
    """Every prediction at the first target that is like it, along axes that it has more; else 0."""
    subject, pieces = free.subject, []
    for p in subject.predictions:
        value = torch.zeros(free.template[p].numel(), dtype=torch.float64)
        for t in subject.targets:
            target = _laid_out(subject, free.template, t, p)
            kind = subject.arguments[p].of
            if target is not None and bool(((target >= kind.low) & (target <= kind.high)).all()):
                value = _aimed(subject.kind(p), target.to(torch.float64)).reshape(-1)
                break
        pieces.append(value)
    return torch.cat(pieces)


def _laid_out(subject: Subject, case: Case, target: int, prediction: int) -> Tensor | None:
    """A real target in the shape of a prediction whose axes contain its own."""
    names = [
        (a.axes or a.of.axes).split() for a in (subject.arguments[target], subject.arguments[prediction])
    ]
    value, shape = case[target], case[prediction].shape
    if not value.dtype.is_floating_point or [a for a in names[1] if a in names[0]] != names[0]:
        return None
    sizes = iter(value.shape)
    view = value.reshape([next(sizes) if axis in names[0] else 1 for axis in names[1]])
    fits = all(a in (1, b) for a, b in zip(view.shape, shape, strict=True))
    return view.expand(shape) if fits else None


def _stretched(free: Free, vector: Tensor, position: int | None, factor: float) -> Tensor:
    """The vector, or its part for one prediction, multiplied."""
    scales, start = torch.ones_like(vector), 0
    for p in free.subject.predictions:
        stop = start + torch.Size(free.shape(p)).numel()
        if position in (None, p):
            scales[start:stop] = factor
        start = stop
    return vector * scales
