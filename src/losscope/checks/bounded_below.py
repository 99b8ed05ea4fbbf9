"""The loss cannot fall without end.

A loss of predictions against targets has a least value. From several points, scores are moved far along the direction
in which the loss falls; a loss that keeps falling in proportion to the distance rewards the size of the outputs, and
training on it ends in infinities: a smoothing or entropy term with the wrong sign does that, far beyond the scores at
which the loss still looks right. Falling like a logarithm (likelihoods of a density) is not meant. Where the format
ends first, a value of minus infinity is looked at closer by: it is a fall as well. Predicted boxes stay boxes: their
corners are put in order wherever they are moved to.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.domains import unbounded
from losscope.checks.subject import Case, Raised, Subject, pack, packed_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_FAR = (1e3, 1e4, 1e5)
_CLOSER = (1.0, 0.1, 0.01, 1e-3)
_CASES = 4
_STEPS = 8
_LABELS = frozenset(
    {
        "class-index",
        "class-index-map",
        "ordinal-index",
        "one-hot",
        "binary",
        "binary-label",
        "mask",
        "distribution",
    }
)
_SPREADS = frozenset({"log-scale"})  # of a penalty without a target

_FALLS = Text(
    en="the loss falls without end as the predictions grow: {near:.6g} at a distance of {distance:g}, "
    "{far:.6g} at {further:g}",
    zh="预测值增大时损失无止境地下降：距离 {distance:g} 处为 {near:.6g}，{further:g} 处为 {far:.6g}",
)
_PASS = Text(
    en="it does not fall without end: the least value seen up to a distance of {further:g} is {least:.4g}",
    zh="损失不会无止境下降：距离 {further:g} 以内所见最小值为 {least:.4g}",
)
_NO_TARGET = Text(
    en="only losses of unbounded predictions against targets have a least value",
    zh="只有无界预测对目标的损失才有最小值",
)
_MEANT = Text(en="the contract says that it has no least value", zh="契约说明该损失没有最小值")


def _run(subject: Subject) -> Iterator[Result]:
    kinds = [subject.kind(i) for i in subject.predictions]
    if not kinds or not all(map(unbounded, kinds)) or not (subject.targets or _SPREADS & set(kinds)):
        yield skipped(_NO_TARGET)
        return
    if subject.spec is not None and subject.spec.range[0] == -math.inf:
        yield skipped(_MEANT)
        return
    least, subject = math.inf, _of_boxes(subject)
    for case in subject.cases(_CASES):
        found = _along(subject, case)
        if found is None:
            continue
        least = min(least, *(v for v in (*found.near, *found.values) if math.isfinite(v)))
        if _without_end(found.values):
            yield _told(subject, found)
            return
    yield passed(_PASS, least=least, further=_FAR[-1]) if least < math.inf else skipped(_NO_TARGET)


def _of_boxes(subject: Subject) -> Subject:
    """The loss of the boxes that corners span, whichever of them comes first; other losses as they are."""
    if not any(subject.kind(i) == "boxes" for i in subject.predictions):
        return subject
    return replace(subject, call=lambda *case: subject.call(*_ordered(subject, case)))


def _ordered(subject: Subject, case: Sequence[Tensor]) -> Case:
    """The case with the lower corner of every predicted box first."""
    return tuple(
        torch.cat([v[..., :2].minimum(v[..., 2:]), v[..., :2].maximum(v[..., 2:])], -1)
        if i in subject.predictions and subject.kind(i) == "boxes"
        else v
        for i, v in enumerate(case)
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """Values on the way down and at ``distances`` along it, and the furthest case."""

    near: list[float]
    values: list[float]
    distances: list[float]
    far: Case


def _told(subject: Subject, found: _Line) -> Result:
    """The finding at the furthest case; smaller ones are judged along the line from zero to them."""
    targets = {subject.kind(i) for i in subject.targets}
    values, distances = found.values, found.distances

    def again(case: Sequence[Tensor]) -> dict[str, float]:
        distance, there = _from_zero(subject, case)
        near = distance * _FAR[0] / _FAR[-1]
        return {"near": there[0], "distance": near, "far": there[-1], "further": distance, "seen": there[-1]}

    return failed(
        "bug" if _LABELS & targets or not targets else "convention",
        _FALLS(near=values[0], distance=distances[0], far=values[-1], further=distances[-1]),
        case=found.far,
        fails=lambda case: _without_end(_from_zero(subject, case)[1]),
        again=again,
        seen=f"{values[-1]:.6g}",
        expected="a value that predictions cannot push lower without end",
        figures={f"at {d:g}": v for d, v in zip(distances, values, strict=True)},
    )


def _from_zero(subject: Subject, case: Sequence[Tensor]) -> tuple[float, list[float]]:
    """The length of all predictions, and the values where they are as many times shorter as ``_FAR`` says."""
    x, unpack = pack(subject, case)
    with torch.no_grad():
        return float(x.norm()), [float(subject.value(unpack(x * (d / _FAR[-1])))) for d in _FAR]


def _along(subject: Subject, case: Case) -> _Line | None:
    """Values far out in the direction that a short descent takes, and the furthest case."""
    x, unpack = pack(subject, case)
    start = x
    for _ in range(_STEPS):
        gradient = packed_gradient(subject, unpack(x))
        if gradient is None or not bool(torch.isfinite(gradient).all()) or float(gradient.norm()) < 1e-12:
            break
        x = x - 2.0 * gradient / gradient.norm()
    direction = x - start
    if float(direction.norm()) < 1e-6:
        return None
    direction = direction / direction.norm()
    end = x

    def at(place: Tensor) -> float:
        return float(subject.value(unpack(place)))

    values: list[float] = []
    distances = list(_FAR)
    try:
        with torch.no_grad():
            near = [at(start), at(end)]
            for closer in _CLOSER:
                distances = [closer * d for d in _FAR]
                values = [at(start + d * direction) for d in distances]
                near += values
                if all(map(math.isfinite, values)) or min(values) != -math.inf:
                    break
    except Raised:
        return None
    far = unpack((start + distances[-1] * direction).round(decimals=3))
    return _Line(near, values, distances, _ordered(subject, far))


def _without_end(values: Sequence[float]) -> bool:
    """Each tenfold distance takes the value at least five times as far down."""
    if not all(map(math.isfinite, values)) or values[-1] >= 0:
        return False
    first, second = values[0] - values[1], values[1] - values[2]
    return first > 1e-3 * _FAR[1] * 1e-3 and second > 5 * first


CHECK = Check(
    name="bounded-below",
    title=Text(en="it does not fall without end", zh="不会无止境下降"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Label smoothing with the wrong sign."""

    def smoothed(z: Tensor, y: Tensor) -> Tensor:
        lp = z.log_softmax(1)
        return 0.9 * F.nll_loss(lp, y) + 0.1 * lp.mean()

    return Subject(name="smoothing with the wrong sign", call=smoothed, arguments=_PAIR)


def sound() -> Subject:
    """A confidence penalty, which is bounded."""

    def penalised(z: Tensor, y: Tensor) -> Tensor:
        entropy = -(z.softmax(1) * z.log_softmax(1)).sum(1).mean()
        return F.cross_entropy(z, y) - 0.1 * entropy

    return Subject(name="cross-entropy with an entropy bonus", call=penalised, arguments=_PAIR)
