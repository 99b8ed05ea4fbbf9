"""A non-linear step is taken of every sample, and the mean comes last.

Focal loss weighs each sample by (1 - p)^γ of its own p. Written with ``F.cross_entropy(...)`` as it is by default, p is
exp of minus the *mean* cross-entropy: one weight for the whole batch, easy and hard samples alike, and the focusing is
gone. So two batches are compared whose mean cross-entropy is equal, one of equal samples and one of an easy and a hard
one. A loss that gives both the same value sees nothing but that mean; if it is not a linear function of it, the mean
was taken too early. A **convention**: class weights and the choice of samples are not such a function and are left
alone.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.saturation import judged, scored
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_PAIRS = ((0.2, 1.4), (0.5, 2.5), (1.0, 4.0))
_CLOSE = 1e-9
_CURVED = 1e-3

_EARLY = Text(
    en="an easy and a hard sample cost {seen:.6g}, as much as two of the same mean cross-entropy: the loss is a "
    "non-linear function of the mean over the batch, not a mean over the samples",
    zh="一个容易和一个困难的样本损失为 {seen:.6g}，与平均交叉熵相同的两个样本一样：该损失是批次均值的非线性函数，"
    "而不是各样本的平均",
)
_PASS = Text(
    en="it sees more than the mean cross-entropy, or is linear in it",
    zh="它不只依赖平均交叉熵，或对其是线性的",
)
_NONE = Text(en="the loss has no cross-entropy of classes or bits", zh="该损失没有类别或二元的交叉熵")


def _run(subject: Subject) -> Iterator[Result]:
    if not judged(subject):
        yield skipped(_NONE)
        return
    means, values, case = [], [], None
    for low, high in _PAIRS:
        mean = (low + high) / 2
        apart, alike = (_of(subject, costs) for costs in ((low, high), (mean, mean)))
        try:
            with torch.no_grad():
                one, other = float(subject.value(apart)), float(subject.value(alike))
        except (Raised, NotALoss):
            yield skipped(_NONE)
            return
        if not abs(one - other) <= _CLOSE * (abs(one) + abs(other)):
            yield passed(_PASS)
            return
        means.append(mean)
        values.append(one)
        case = apart
    if _linear(means, values):
        yield passed(_PASS)
        return
    assert case is not None
    yield failed(
        "convention",
        _EARLY(seen=values[-1]),
        case=case,
        seen=f"{values[-1]:.6g}",
        expected="the mean of what the two cost alone",
    )


def _of(subject: Subject, costs: Sequence[float]) -> Case:
    """Samples of these cross-entropies."""
    classes = 2 if subject.kinds[0] in ("binary-logits", "mask-logits") else subject.sizes.get("C", 5)
    return scored(subject, torch.tensor([_margin(cost, classes) for cost in costs], dtype=torch.float64))


def _margin(cost: float, classes: int) -> float:
    """The lead of the label that costs so much; negative: the lead of another class.

    ln(1 + (C - 1)e^-m) for a lead of the label, ln(e^m + C - 1) for one of another class.
    """
    if cost <= math.log(classes):
        return math.log((classes - 1) / (math.exp(cost) - 1))
    return -math.log(math.exp(cost) - classes + 1)


def _linear(means: Sequence[float], values: Sequence[float]) -> bool:
    """Whether three points lie on a line."""
    (a, b, c), (x, y, z) = means, values
    slope = (z - x) / (c - a)
    return abs(x + slope * (b - a) - y) <= _CURVED * (abs(x) + abs(y) + abs(z))


CHECK = Check(
    name="mean-first",
    title=Text(en="the mean over samples comes last", zh="对样本的平均在最后进行"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    def focal(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        ce = F.cross_entropy(z, y)
        return (1 - (-ce).exp()) ** 2 * ce

    return Subject(name="focal loss of a mean", call=focal, arguments=_PAIR)


def sound() -> Subject:
    def focal(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        ce = F.cross_entropy(z, y, reduction="none")
        return ((1 - (-ce).exp()) ** 2 * ce).mean()

    return Subject(name="focal loss", call=focal, arguments=_PAIR)
