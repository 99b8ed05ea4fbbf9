"""Arguments are not changed: neither their values nor whether they require a gradient.

An in-place operation on an input changes the caller's logits after the fact; on a target it spoils the data for the
next epoch. Many change only what is unusual: labels that mark padding (255, -1, -100). So besides
ordinary cases there are such with these labels, with all kinds of labels and masks, and with large predictions.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Case, NotALoss, Raised, Subject, cast, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_ODD_LABELS = (255, -1, -100)
_ODD_NUMBERS = (-1.0, 255.0)

_CHANGED = Text(en="the argument {name!r} was changed in place", zh="参数 {name!r} 被就地修改")
_PASS = Text(en="no argument was changed", zh="没有参数被修改")


def _run(subject: Subject) -> Iterator[Result]:
    for dtype, seeds in ((torch.float64, 2), (torch.float32, 1)):
        for case in subject.cases(seeds, (1.0, 8.0)):
            found = _found(subject, cast(case, dtype))
            if found is not None:
                yield found
                return
    for case in _unusual(subject):
        with suppress(Raised, NotALoss):  # what it refuses, it need not leave alone
            found = _found(subject, cast(case, torch.float32))
            if found is not None:
                yield found
                return
    yield passed(_PASS)


def _found(subject: Subject, case: Case) -> Result | None:
    position = changed(subject, case)
    if position is None:
        return None
    name = subject.arguments[position].name
    return failed(
        "bug",
        _CHANGED(name=name),
        case=case,
        fails=lambda candidate: changed(subject, candidate) == position,
        seen=f"{name} has other values afterwards",
        expected="unchanged arguments",
        call=f"given = [{{args}}]; before = given[{position}].clone(); loss(*given); "
        f"print(torch.equal(given[{position}], before))  # False, expected True: {name} was changed",
    )


def _unusual(subject: Subject) -> Iterator[Case]:
    """Targets with one odd value among ordinary ones."""
    for position, argument in enumerate(subject.arguments):
        if argument.role == "prediction":
            continue
        case = subject.case(0)
        own = subject.option("ignore_index")
        labels = dict.fromkeys((*_ODD_LABELS, *((own,) if isinstance(own, int) else ())))
        for values in [(v,) for v in labels] if argument.of.integer else [_ODD_NUMBERS]:
            target = case[position].clone()
            if target.numel() >= len(values) and argument.kind != "kept":
                target.view(-1)[-len(values) :] = torch.tensor(values, dtype=target.dtype)
                yield replaced(case, {position: target})


def changed(subject: Subject, case: Sequence[Tensor]) -> int | None:
    """Position of an argument that a call changes."""
    given = tuple(t.clone() for t in case)
    subject.on(*given)
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

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """Gives padding a class in the labels of the caller: ordinary labels stay as they are."""

    def relabelling(z: Tensor, y: Tensor) -> Tensor:
        kept = y != 255
        y[y == 255] = 0
        return (F.cross_entropy(z, y, reduction="none") * kept).sum() / kept.sum()

    return Subject(name="padding becomes class 0", call=relabelling, arguments=_PAIR)


def sound() -> Subject:
    def labelling(z: Tensor, y: Tensor) -> Tensor:
        kept = y != 255
        return (F.cross_entropy(z, y.where(kept, 0), reduction="none") * kept).sum() / kept.sum()

    return Subject(name="padding read as class 0", call=labelling, arguments=_PAIR)
