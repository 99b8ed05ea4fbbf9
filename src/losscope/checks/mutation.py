"""Arguments are not changed: neither their values nor whether they require a gradient.

An in-place operation on an input changes the caller's logits after the fact; on a target it spoils the data for the
next epoch.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Subject, cast
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CHANGED = Text(en="the argument {name!r} was changed in place", zh="参数 {name!r} 被就地修改")
_PASS = Text(en="no argument was changed", zh="没有参数被修改")


def _run(subject: Subject) -> Iterator[Result]:
    for dtype in (torch.float64, torch.float32):
        for case in subject.cases(2, (1.0, 8.0)):
            position = changed(subject, cast(case, dtype))
            if position is not None:
                name = subject.arguments[position].name
                yield failed(
                    "bug",
                    _CHANGED(name=name),
                    case=cast(case, dtype),
                    fails=lambda candidate: changed(subject, candidate) is not None,
                    seen=f"{name} has other values afterwards",
                    expected="unchanged arguments",
                    call="x = {first}; before = x.clone(); loss({args_with_x}); print(torch.equal(x, before))",
                )
                return
    yield passed(_PASS)


def changed(subject: Subject, case: Sequence[Tensor]) -> int | None:
    """Position of an argument that a call changes."""
    given = tuple(t.clone() for t in case)
    subject(*given)
    for position, (before, after) in enumerate(zip(case, given, strict=True)):
        same = before.shape == after.shape and torch.equal(before.nan_to_num(), after.nan_to_num())
        if not same or after.requires_grad:
            return position
    return None


CHECK = Check(
    name="mutation",
    title=Text(en="arguments are left as they are", zh="不修改输入参数"),
    run=_run,
)

_PAIR = (Argument("input", "probabilities"), Argument("target", "binary"))


def broken() -> Subject:
    """Clamps the probabilities of the caller."""

    def clamping(p: Tensor, t: Tensor) -> Tensor:
        return F.binary_cross_entropy(p.clamp_(0.1, 0.9), t)

    return Subject(name="clamp_", call=clamping, arguments=_PAIR)


def sound() -> Subject:
    return Subject(
        name="clamp", call=lambda p, t: F.binary_cross_entropy(p.clamp(0.1, 0.9), t), arguments=_PAIR
    )
