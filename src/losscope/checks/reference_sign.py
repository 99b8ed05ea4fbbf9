"""A reference is subtracted: what both models find likelier by the same factor changes nothing.

Preference losses and policy gradients compare a model with what it was: only log p - log p_ref counts. Added instead
of subtracted, the sum stays as it is where one rises as much as the other falls, and the model is pushed towards what
the reference finds unlikely. No shape and no range shows it: at the start, where both are equal, even the values look
right.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_OF, _REFERENCE = "log-likelihoods", "reference-log-likelihoods"
_CASES = 3
_STEP = 0.5
_CLOSE = 1e-9

_ADDED = Text(
    en="the loss stays at {seen:.6g} where the model rises by {step:g} and its reference falls by as much, and changes "
    "to {other:.6g} where both fall: the reference is added, not subtracted",
    zh="模型上升 {step:g} 而参考同样下降时，损失保持 {seen:.6g}；两者同时下降时变为 {other:.6g}：参考被相加而非相减",
)
_PASS = Text(en="it is not the sum of model and reference that counts", zh="起作用的不是模型与参考之和")
_NONE = Text(en="the loss has no reference model", zh="该损失没有参考模型")


def _run(subject: Subject) -> Iterator[Result]:
    ours = [i for i, kind in enumerate(subject.kinds) if kind == _OF]
    theirs = [i for i, kind in enumerate(subject.kinds) if kind == _REFERENCE]
    if not ours or len(ours) != len(theirs):
        yield skipped(_NONE)
        return
    for one, other in zip(ours, theirs, strict=True):
        cases = [replaced(c, {i: c[i] - 1 for i in (*ours, *theirs)}) for c in subject.cases(_CASES)]
        if _same(subject, cases, {one: 1, other: -1}) and not _same(subject, cases, {one: -1, other: -1}):
            yield _failure(subject, cases[0], one, other)
            return
    yield passed(_PASS)


def _moved(case: Case, signs: dict[int, int]) -> Case:
    """Every second number moved by a step: a constant alone may count in no comparison within the batch."""
    odd = torch.arange(len(case[0])) % 2
    return replaced(case, {i: case[i] + sign * _STEP * odd.to(case[i].dtype) for i, sign in signs.items()})


def _value(subject: Subject, case: Case) -> float:
    with torch.no_grad():
        return float(subject.value(case))


def _same(subject: Subject, cases: list[Case], signs: dict[int, int]) -> bool:
    pairs = [(_value(subject, case), _value(subject, _moved(case, signs))) for case in cases]
    return all(abs(a - b) <= _CLOSE * (abs(a) + abs(b) + 1e-6) for a, b in pairs)


def _failure(subject: Subject, case: Case, one: int, other: int) -> Result:
    seen, fallen = _value(subject, case), _value(subject, _moved(case, {one: -1, other: -1}))
    return failed(
        "bug",
        _ADDED(seen=seen, step=_STEP, other=fallen),
        case=_moved(case, {one: -1, other: -1}),
        seen=f"{fallen:.6g}",
        expected=f"{seen:.6g}, as before both fell",
    )


CHECK = Check(
    name="reference-sign",
    title=Text(en="a reference is subtracted", zh="参考应被相减"),
    run=_run,
)

_FOUR = (
    *(Argument(name, _OF) for name in ("chosen", "rejected")),
    *(Argument(f"reference_{name}", _REFERENCE) for name in ("chosen", "rejected")),
)


def _dpo(c: Tensor, r: Tensor, c0: Tensor, r0: Tensor, sign: float) -> Tensor:
    return -F.logsigmoid(0.1 * ((c - r) + sign * (c0 - r0))).mean()


def broken() -> Subject:
    return Subject(name="reference added", call=lambda c, r, c0, r0: _dpo(c, r, c0, r0, 1.0), arguments=_FOUR)


def sound() -> Subject:
    return Subject(name="dpo", call=lambda c, r, c0, r0: _dpo(c, r, c0, r0, -1.0), arguments=_FOUR)
