"""A student that says what its teacher says costs least.

Both are softened by the same temperature. If only one of them is, the best student is another one: as many times surer
or less sure as the temperature says, and a student that has learnt everything still has a gradient. So the teacher's
own scores are compared with multiples of them. A **convention**: self-distillation sharpens its teacher on purpose
(DINO).

Hinton et al. 2015, arXiv:1503.02531; Caron et al. 2021 (DINO), arXiv:2104.14294.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_TIMES = (0.1, 0.25, 0.5, 2.0, 4.0, 10.0)
_CASES = 3

_OTHER = Text(
    en="a student with {times:g} times the scores of its teacher costs {seen:.6g}, one with the same scores "
    "{expected:.6g}: the two are not softened alike",
    zh="分数为教师 {times:g} 倍的学生损失为 {seen:.6g}，分数与教师相同的为 {expected:.6g}：两者的软化程度不同",
)
_PASS = Text(
    en="the teacher's own scores cost least among their multiples", zh="在各倍数中，教师自身的分数损失最小"
)
_NONE = Text(en="the loss has no teacher", zh="该损失没有教师")


def _run(subject: Subject) -> Iterator[Result]:
    if subject.kinds != ("logits", "teacher-logits"):
        yield skipped(_NONE)
        return
    best = [_best(subject, subject.case(seed)) for seed in range(_CASES)]
    if None in best:
        yield skipped(_NONE)
        return
    times = best[0]
    if times is None or times == 1.0 or any(b == 1.0 for b in best):
        yield passed(_PASS)
        return
    case = _times(subject.case(0), times)
    seen, expected = _value(subject, case), _value(subject, _times(case, 1.0))
    text = _OTHER(times=times, seen=seen, expected=expected)
    yield failed("convention", text, case=case, seen=f"{seen:.6g}", expected=f"at least {expected:.6g}")


def _times(case: Case, times: float) -> Case:
    return ((times * case[1]).round(decimals=6), case[1])


def _best(subject: Subject, case: Case) -> float | None:
    """The multiple that costs clearly least, 1 unless another does; ``None`` where the loss is no number."""
    here = _value(subject, _times(case, 1.0))
    costs = {times: _value(subject, _times(case, times)) for times in _TIMES}
    if not all(map(math.isfinite, (here, *costs.values()))):
        return None
    least = min(costs, key=costs.__getitem__)
    return least if costs[least] < here - 1e-3 * (max(costs.values()) - here) - 1e-9 else 1.0


def _value(subject: Subject, case: Case) -> float:
    try:
        with torch.no_grad():
            return float(subject.value(case))
    except (Raised, NotALoss):
        return math.nan


CHECK = Check(
    name="teacher-scale",
    title=Text(en="a student like its teacher costs least", zh="与教师一致的学生损失最小"),
    run=_run,
)

_PAIR = (Argument("student", "logits"), Argument("teacher", "teacher-logits"))


def _softened(student: Tensor, teacher: Tensor, by: float) -> Tensor:
    return F.kl_div((student / 4).log_softmax(1), (teacher.detach() / by).softmax(1), reduction="batchmean")


def broken() -> Subject:
    return Subject(name="a hard teacher", call=lambda s, t: _softened(s, t, 1.0), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="distillation", call=lambda s, t: _softened(s, t, 4.0), arguments=_PAIR)
