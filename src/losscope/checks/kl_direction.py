"""Which way a divergence from a teacher is taken.

Forward, Σ t ln(t/s): a student must cover all that the teacher finds likely; what it drops costs without end. Reverse,
Σ s ln(s/t): it may settle on one mode, and what it adds costs without end. Both are meant somewhere (MiniLLM, policy
distillation), but ``F.kl_div(log_teacher, student)``, its arguments exchanged, gives the reverse one by mistake. Told
as a **convention**. Symmetric divergences and distances of scores are neither.

Hinton et al. 2015, arXiv:1503.02531; Gu et al. 2024 (MiniLLM), arXiv:2306.08543.
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

_SIZES = (40.0, 80.0)
_BESIDE = 0.05

_REVERSE = Text(
    en="the divergence is taken from the student to the teacher (reverse KL): to drop half of what the teacher says "
    "costs {dropped:.4g}, to add as much {added:.4g}; F.kl_div(log_student, teacher) is the usual direction",
    zh="散度是从学生到教师（反向 KL）：丢掉教师所说的一半损失为 {dropped:.4g}，多出同样多为 {added:.4g}；"
    "通常的方向是 F.kl_div(log_student, teacher)",
)
_FORWARD = Text(
    en="the student must cover all that the teacher finds likely (forward KL)",
    zh="学生必须覆盖教师认为可能的一切（正向 KL）",
)
_NEITHER = Text(en="it is neither a forward nor a reverse divergence", zh="它既非正向也非反向散度")
_NONE = Text(en="the loss has no teacher", zh="该损失没有教师")


def _run(subject: Subject) -> Iterator[Result]:
    if subject.kinds != ("logits", "teacher-logits") or subject.described:
        yield skipped(_NONE)
        return
    dropped = [_value(subject, _case(subject, drops=True, size=size)) for size in _SIZES]
    added = [_value(subject, _case(subject, drops=False, size=size)) for size in _SIZES]
    growth = [high - low for low, high in (dropped, added)]
    if not all(map(math.isfinite, growth)) or max(growth) <= 0:
        yield skipped(_NEITHER)
    elif abs(growth[1]) <= _BESIDE * growth[0]:
        yield passed(_FORWARD)
    elif abs(growth[0]) <= _BESIDE * growth[1]:
        yield failed(
            "convention",
            _REVERSE(dropped=dropped[1], added=added[1]),
            case=_case(subject, drops=True, size=_SIZES[1]),
            seen=f"{dropped[1]:.6g}",
            expected="more and more, the surer the student is",
        )
    else:
        yield skipped(_NEITHER)


def _case(subject: Subject, *, drops: bool, size: float) -> Case:
    """One side says two classes, the other only the first of them: the student (``drops``) or the teacher."""
    case = subject.case(0, N=1)
    both = torch.full_like(case[1], -size)
    both[:, :2] = 0.0
    first = both.clone()
    first[:, 1] = -size
    student, teacher = (first, both) if drops else (both, first)
    return (student, teacher)


def _value(subject: Subject, case: Case) -> float:
    try:
        with torch.no_grad():
            return float(subject.value(case))
    except (Raised, NotALoss):
        return math.nan


CHECK = Check(
    name="kl-direction",
    title=Text(en="the divergence covers the teacher", zh="散度覆盖教师"),
    run=_run,
)

_PAIR = (Argument("student", "logits"), Argument("teacher", "teacher-logits"))


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    return F.kl_div(one.log_softmax(1), other.softmax(1), reduction="batchmean")


def broken() -> Subject:
    """The arguments of F.kl_div exchanged."""
    return Subject(name="exchanged", call=lambda s, t: _divergence(t.detach(), s), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="distillation", call=lambda s, t: _divergence(s, t.detach()), arguments=_PAIR)
