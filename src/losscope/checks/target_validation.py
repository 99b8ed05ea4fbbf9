"""Targets that cannot be meant are refused.

A class index of -1 wraps around to the last class where a loss indexes as Python does; an index of C or more must not
be accepted either; both are bugs, because the value is plausible and wrong. Labels outside of {0, 1}, {-1, 1} or [0, 1]
that are accepted are conventions: checking the values of a tensor costs a synchronisation on accelerators. The wrong
label stands where it counts: not behind a mask of 0 or a weight of 0.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject, cast, replaced
from losscope.core.claims import Severity
from losscope.core.text import Message, Text
from losscope.losses.arguments import SIZES, Argument

_CLASS = Text(
    en="class {label} of {classes} is accepted and gives {seen:.6g}",
    zh="{classes} 类中的类别 {label} 被接受，得到 {seen:.6g}",
)
_OUTSIDE = Text(
    en="a label of {label:g} is accepted, although {domain} is meant: it gives {seen:.6g}",
    zh="标签 {label:g} 被接受（应为 {domain}）：得到 {seen:.6g}",
)
_PASS = Text(en="labels outside of the domain are refused: {labels}", zh="拒绝定义域之外的标签：{labels}")
_NONE = Text(en="every value is a valid target", zh="任何值都是有效目标")

_INDICES = ("class-index", "class-index-map", "ordinal-index")
_WRONG_VALUES = {
    **dict.fromkeys(("binary", "binary-label", "mask", "one-hot"), ((2.0, "0 or 1"), (-1.0, "0 or 1"))),
    **dict.fromkeys(("sign", "sign-label"), ((0.0, "-1 or 1"), (2.0, "-1 or 1"))),
    **dict.fromkeys(("unit", "distribution"), ((2.0, "0 to 1"), (-1.0, "0 to 1"))),
    "counts": ((-1.0, "0, 1, 2, …"),),
}


def _run(subject: Subject) -> Iterator[Result]:
    refused: list[str] = []
    tried = False
    for position in subject.targets:
        kind = subject.kind(position)
        if kind in _INDICES:
            tried = True
            yield from _indices(subject, position, refused)
        elif kind in _WRONG_VALUES:
            tried = True
            yield from _values(subject, position, refused)
    if not tried:
        yield skipped(_NONE)
    elif refused:
        yield passed(_PASS, labels=", ".join(refused))


def _accepted(subject: Subject, case: Sequence[Tensor]) -> float | None:
    try:
        value = float(subject.value(case))
    except (Raised, NotALoss):
        return None
    return None if math.isnan(value) else value


def _indices(subject: Subject, position: int, refused: list[str]) -> Iterator[Result]:
    classes = subject.sizes.get("C", SIZES["C"])
    ignored = subject.option("ignore_index")
    for label in (-1, classes, classes + 4):
        if label == ignored:
            continue
        wrong = _with_label(subject, position, label)
        seen = _accepted(subject, wrong)
        if seen is None:
            refused.append(str(label))
        elif label == -1 and _is_ignored(subject, wrong, position):
            refused.append("-1 (ignored)")
        else:
            text = _CLASS(label=label, classes=classes, seen=seen)
            yield _finding("bug", text, subject, wrong, (position, label, seen))
            return


def _values(subject: Subject, position: int, refused: list[str]) -> Iterator[Result]:
    for label, domain in _WRONG_VALUES[subject.kind(position)]:
        wrong = _with_label(subject, position, label)
        seen = _accepted(subject, wrong)
        if seen is not None:
            text = _OUTSIDE(label=label, domain=domain, seen=seen)
            yield _finding("convention", text, subject, wrong, (position, label, seen))
            return
        refused.append(f"{label:g}")


def _with_label(subject: Subject, position: int, label: float) -> Case:
    """An ordinary case whose last target is ``label``: losses that predict the next token never see the first."""
    case = cast(subject.case(0), torch.float32)
    changes = {i: case[i].clone() for i in (position, *_gates(subject))}
    for i, value in changes.items():
        value.view(-1)[-1] = label if i == position else 1
    return replaced(case, changes)


def _gates(subject: Subject) -> list[int]:
    """Masks and weights: what they hold a 0 for does not count."""
    fixed = [(i, a) for i, a in enumerate(subject.arguments) if a.role == "fixed"]
    return [i for i, a in fixed if a.kind in ("weights", "kept") or "mask" in a.name]


def _counts(subject: Subject, case: Sequence[Tensor], position: int, label: float) -> bool:
    """Whether the label stands in a place of the target that no mask and no weight takes out."""
    found = case[position] == label
    for i in _gates(subject):
        gate = case[i] > 0
        missing = found.dim() - gate.dim()
        gate = gate.reshape(*gate.shape, *[1] * max(missing, 0))
        try:
            found = found & gate
        except RuntimeError:  # of other axes: whichever place it stands for, it counts where all are 1
            found = found & gate.all()
    return bool(found.any())


def _finding(
    severity: Severity, text: Message, subject: Subject, wrong: Case, at: tuple[int, float, float]
) -> Result:
    position, label, seen = at
    return failed(
        severity,
        text,
        case=wrong,
        fails=lambda c: _counts(subject, c, position, label) and _accepted(subject, c) is not None,
        again=lambda c: {"seen": _accepted(subject, c)},
        seen=f"{seen:.6g}",
        expected="an error",
    )


def _is_ignored(subject: Subject, case: Sequence[Tensor], position: int) -> bool:
    """Whether a label of -1 marks a sample as ignored: the rest alone gives the same mean."""
    n = case[position].shape[0]
    if case[position].dim() != 1:
        return False
    rest = subject.rows(case, torch.arange(n - 1))  # the label is the last
    return abs(float(subject.value(case)) - float(subject.value(rest))) < 1e-6


CHECK = Check(
    name="target-validation",
    title=Text(en="targets that cannot be meant are refused", zh="拒绝不合理的目标"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Indexes as Python does: class -1 is the last one."""

    def indexing(z: Tensor, y: Tensor) -> Tensor:
        return -z.log_softmax(1)[torch.arange(len(y)), y].mean()

    return Subject(name="indexing", call=indexing, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_PAIR)
