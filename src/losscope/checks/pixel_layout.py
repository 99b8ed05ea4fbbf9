"""A loss of classes that also takes a map of them gives the same for the pixels as for so many samples.

[N, C] against [N] becomes [N, C, H, W] against [N, H, W] in segmentation. ``logits.view(-1, C)`` takes the numbers in
the order in which they lie in memory, and that is not class by class: scores of one pixel are spread over several rows,
nothing raises, and nothing is learnt. So a map is compared with its pixels as samples. Another denominator (pixels,
samples) is a factor, and no fault. A **convention**, since a loss of samples need not be made for maps.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import SIZES, Argument, draw_case

_CASES = 3
_CLOSE = 1e-4
_MAP = (Argument("input", "class-mask-logits"), Argument("target", "class-index-map"))

_MIXED = Text(
    en="a map of {shape} is taken and costs {seen:.6g}, its pixels as samples cost {expected:.6g}: scores of different "
    "pixels are mixed up, as view(-1, C) does without movedim(1, -1)",
    zh="接受形状为 {shape} 的图，损失为 {seen:.6g}，而把像素当作样本时为 {expected:.6g}：不同像素的分数被混在一起，"
    "如同未经 movedim(1, -1) 的 view(-1, C)",
)
_PASS = Text(en="a map costs what its pixels cost", zh="整张图的损失等于其像素的损失")
_NO_MAP = Text(en="it takes no map of classes", zh="它不接受类别图")


def _run(subject: Subject) -> Iterator[Result]:
    if (
        subject.kinds != ("logits", "class-index")
        or subject.axis(0, "C") != 1
        or subject.axis(0, "T") is not None
    ):
        yield skipped(_NO_MAP)
        return
    sizes = {**SIZES, "N": 2, "H": 3, "W": 2, "C": subject.sizes.get("C", SIZES["C"])}
    cases = [draw_case(_MAP, seed, sizes) for seed in range(_CASES)]
    found = [(_value(subject, case), _value(subject, _as_samples(case))) for case in cases]
    if not all(math.isfinite(v) for pair in found for v in pair) or any(abs(e) < 1e-9 for _, e in found):
        yield skipped(_NO_MAP)
        return
    ratios = [seen / expected for seen, expected in found]
    if max(ratios) - min(ratios) <= _CLOSE * max(map(abs, ratios)):
        yield passed(_PASS)
        return
    worst = max(range(_CASES), key=lambda i: abs(ratios[i] - 1))
    seen, expected = found[worst]
    text = _MIXED(shape=str(list(cases[worst][0].shape)), seen=seen, expected=expected)
    yield failed("convention", text, case=cases[worst], seen=f"{seen:.6g}", expected=f"{expected:.6g}")


def _as_samples(case: Case) -> Case:
    return (case[0].movedim(1, -1).reshape(-1, case[0].shape[1]), case[1].reshape(-1))


def _value(subject: Subject, case: Case) -> float:
    """The value; not a number where it is not one number, or the loss refuses."""
    try:
        with torch.no_grad():
            value = subject(*case)
    except (Raised, NotALoss):
        return math.nan
    return float(value) if value.dim() == 0 else math.nan


CHECK = Check(
    name="pixel-layout",
    title=Text(en="a map of classes costs what its pixels cost", zh="类别图的损失等于其像素的损失"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Rows of C numbers as they lie in memory."""

    def viewed(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z.reshape(-1, z.shape[1]), y.reshape(-1))

    return Subject(name="viewed", call=viewed, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_PAIR)
