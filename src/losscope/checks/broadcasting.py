"""[N] against [N, 1] is refused, or means the same as [N] against [N].

PyTorch's broadcasting turns the two into [N, N]: every prediction is compared with every target, the value looks
plausible, and the model learns the mean. Accepting it without a word is a bug; with a warning, a convention.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import NotALoss, Raised, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SILENT = Text(
    en="{first} against {second} is accepted silently and gives {seen:.6g} instead of {expected:.6g}",
    zh="{first} 对 {second} 被静默接受，得到 {seen:.6g} 而不是 {expected:.6g}",
)
_WARNS = Text(
    en="{first} against {second} is accepted with a warning and gives {seen:.6g} instead of {expected:.6g}",
    zh="{first} 对 {second} 被接受但有警告，得到 {seen:.6g} 而不是 {expected:.6g}",
)
_REFUSED = Text(en="shapes that do not match are refused", zh="形状不匹配时会被拒绝")
_SAME = Text(en="a column and a vector mean the same", zh="列向量与一维向量含义相同")
_NO_PAIR = Text(en="no prediction has the shape of a target", zh="没有与目标同形状的预测")


def _run(subject: Subject) -> Iterator[Result]:
    case = subject.case(0, D=1)
    pairs = [
        (i, j)
        for i in subject.predictions
        for j in subject.targets
        if case[i].shape == case[j].shape and case[i].dim() in (1, 2) and case[i].shape[1:] in ((), (1,))
    ]
    if not pairs:
        yield skipped(_NO_PAIR)
        return
    outcomes = set()
    for prediction, target in pairs[:1]:
        for flat in (target, prediction):
            found = _try(subject, case, prediction, flat)
            outcomes.add(found if isinstance(found, str) else "fail")
            if isinstance(found, Result):
                yield found
                return
    yield passed(_REFUSED if "refused" in outcomes else _SAME)


def _try(subject: Subject, case: Sequence[Tensor], prediction: int, flat: int) -> Result | str:
    """One of the pair as [N], the other as [N, 1]; all others as they would be."""
    flatten = case[prediction].dim() == 2
    mixed = replaced(case, {flat: case[flat].squeeze(1) if flatten else case[flat].unsqueeze(1)})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            seen = float(subject.value(mixed))
        except (Raised, NotALoss):
            return "refused"
    expected = float(subject.value(case))
    if abs(seen - expected) <= 1e-6 * (1 + abs(expected)):
        return "same"
    partner = next(j for j in subject.targets if case[j].shape == case[prediction].shape)

    def figures(mixed: Sequence[Tensor]) -> dict[str, Any]:
        seen, expected = _both(subject, mixed, prediction, flat)
        first, second = (tuple(mixed[i].shape) for i in (prediction, partner))
        return {"first": first, "second": second, "seen": seen, "expected": expected}

    text = _WARNS if told else _SILENT
    return failed(
        "convention" if told else "bug",
        text(**figures(mixed)),
        case=mixed,
        fails=lambda c: _broadcasts(subject, c, prediction, flat),
        again=figures,
        seen=f"{seen:.6g}",
        expected=f"{expected:.6g}",
    )


def _both(subject: Subject, mixed: Sequence[Tensor], prediction: int, flat: int) -> tuple[float, float]:
    """The loss of a vector against a column, and that of two of one shape."""
    other = next(j for j in subject.targets if j != flat) if flat == prediction else prediction
    straight = replaced(mixed, {flat: mixed[flat].reshape(mixed[other].shape)})
    return float(subject.value(mixed)), float(subject.value(straight))


def _broadcasts(subject: Subject, mixed: Sequence[Tensor], prediction: int, flat: int) -> bool:
    seen, expected = _both(subject, mixed, prediction, flat)
    return abs(seen - expected) > 1e-3


CHECK = Check(
    name="broadcasting",
    title=Text(en="a vector against a column is not broadcast silently", zh="向量与列向量不会被静默广播"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    return Subject(name="hand-written mse", call=lambda x, t: (x - t).square().mean(), arguments=_PAIR)


def sound() -> Subject:
    """Refuses, as binary cross-entropy does."""

    def strict(x: Tensor, t: Tensor) -> Tensor:
        if x.shape != t.shape:
            raise ValueError("shapes differ")
        return F.mse_loss(x, t)

    return Subject(name="strict mse", call=strict, arguments=_PAIR)
