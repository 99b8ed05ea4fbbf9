"""What claims of invariance share: a change of the predictions that should leave the loss of every sample as it is."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.checks.check import Result, failed, passed, skipped
from losscope.checks.claimed import judge
from losscope.checks.domains import inside
from losscope.checks.subject import Case, Subject
from losscope.core.text import Text

Change = Callable[[Case, int], Case | None]
"""The changed case, for a case and a seed; ``None`` where the change leads out of the domain."""

TOLERANCE = 1e-6
"""Share of the spread of the loss that is no difference: rounding, and the ε that guards a division by a norm."""
_CASES = 6
_SCALES = (1.0, 3.0)


def random(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def along(subject: Subject, position: int, case: Sequence[Tensor]) -> tuple[int, ...]:
    """The shape of one number for each sample (each pixel, where an axis runs over classes), to broadcast.

    Scores that are one per sample are the scores of one list: there, and where a contract says that samples are
    coupled, it is one number for the whole batch.
    """
    argument = subject.arguments[position]
    axes = (argument.axes or argument.of.axes).split()
    coupled = subject.spec is not None and subject.spec.batch_coupled
    if axes in (["N"], []) or subject.axis(position) is None or coupled:
        return (1,) * case[position].dim()
    kept = [a for a in axes if a != "C"] if "C" in axes else ["N"]
    return tuple(size if axis in kept else 1 for axis, size in zip(axes, case[position].shape, strict=True))


def difference(
    subject: Subject, case: Sequence[Tensor], changed: Sequence[Tensor], *, whole: bool = False
) -> tuple[float, float]:
    """The largest change of an unreduced loss (of the total, with ``whole``), and the size of the losses."""
    unreduced = subject.with_options(reduction="none") or subject
    with torch.no_grad():
        before, after = unreduced(*case).to(torch.float64), unreduced(*changed).to(torch.float64)
    if whole or before.shape != after.shape:
        before, after = before.sum(), after.sum()
    gap = torch.where(before == after, 0.0, (after - before).abs()).nan_to_num(nan=0.0, posinf=torch.inf)
    return float(gap.max()), float(before.abs().nan_to_num(0.0, 0.0, 0.0).max())


def invariant(
    subject: Subject, name: str, change: Change, texts: tuple[Text, Text, Text], *, whole: bool = False
) -> Iterator[Result]:
    """Judge whether ``change`` leaves the loss alone (its total, with ``whole``).

    ``texts`` are those of a difference, of a pass, and of a change that is not possible.
    """
    broken, holds, impossible = texts
    compared, worst = 0, 0.0
    values = [difference(subject, case, case)[1] for case in subject.cases(3, _SCALES)]
    spread = max(values, default=0.0)
    counterexample = None
    for number, case in enumerate(subject.cases(_CASES, _SCALES)):
        changed = change(case, number)
        if changed is None or not inside(subject, changed):
            continue
        compared += 1
        gap, size = difference(subject, case, changed, whole=whole)
        precision = 1e-3 if subject(*case).dtype != torch.float64 else TOLERANCE
        if gap > precision * max(spread, size):
            counterexample = _refuted(subject, case, lambda c, k=number: change(c, k), broken, gap)
            break
        worst = max(worst, gap)
    if compared == 0:
        yield skipped(impossible)
        return
    figures = {"largest difference": worst}
    yield judge(subject, name, counterexample, passed(holds, figures, worst=worst, count=compared))


def _refuted(
    subject: Subject, case: Case, change: Callable[[Case], Case | None], text: Text, gap: float
) -> Result:
    limit = gap / 3

    def fails(candidate: Sequence[Tensor]) -> bool:
        changed = change(tuple(candidate))
        return changed is not None and difference(subject, candidate, changed)[0] > limit

    changed = change(case)
    with torch.no_grad():
        before = float(subject.value(case))
        after = float(subject.value(changed)) if changed is not None else float("nan")
    return failed(
        "by-design",
        text(before=before, after=after, gap=gap),
        case=case,
        fails=fails,
        seen=f"{before:.6g} before, {after:.6g} after the change",
        expected="no change",
        figures={"difference": gap},
    )
