"""The order of the samples does not matter, and samples are not mixed up.

The same batch in another order must give the same value and the same gradient per sample. An exception is a loss over
an ordered batch, which its contract says.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Subject, packed_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CHANGED = Text(
    en="the same samples in another order: {seen:.8g} instead of {first:.8g}",
    zh="同样的样本换个顺序：{seen:.8g}，而不是 {first:.8g}",
)
_PASS = Text(en="{count} orders give the same value", zh="{count} 种顺序得到相同的值")
_SINGLE = Text(en="the loss has no axis of samples", zh="该损失没有样本轴")


def _run(subject: Subject) -> Iterator[Result]:
    if not any(subject.axis(i) == 0 for i in subject.predictions):
        yield skipped(_SINGLE)
        return
    for number, case in enumerate(subject.cases(4)):
        found = _changed(subject, case, number)
        if found is not None:
            yield failed(
                "bug",
                _CHANGED(seen=found[1], first=found[0]),
                case=case,
                fails=lambda candidate, number=number: _changed(subject, candidate, number) is not None,
                seen=f"{found[1]:.8g} after reordering",
                expected=f"{found[0]:.8g}",
            )
            return
    yield passed(_PASS, count=4)


def _changed(subject: Subject, case: Sequence[Tensor], seed: int) -> tuple[float, float] | None:
    order = torch.randperm(subject.count(case), generator=torch.Generator().manual_seed(seed))
    other = subject.rows(case, order)
    with torch.no_grad():
        first, second = float(subject.value(case)), float(subject.value(other))
    tolerance = 1e-6 if subject.value(case).dtype == torch.float32 else 1e-9
    if abs(first - second) > tolerance * (1 + abs(first)):
        return first, second
    before, after = packed_gradient(subject, case), packed_gradient(subject, other)
    if before is None or after is None:
        return None
    size, other_size = float(before.norm()), float(after.norm())
    return (size, other_size) if abs(size - other_size) > 1e3 * tolerance * (1 + size) else None


CHECK = Check(
    name="permutation-equivariant",
    title=Text(en="the order of samples does not matter", zh="样本的顺序无关紧要"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    """The last sample counts double."""

    def doubled(z: Tensor, y: Tensor) -> Tensor:
        losses = F.cross_entropy(z, y, reduction="none")
        return (losses.sum() + losses[-1]) / (len(losses) + 1)

    return Subject(name="last sample counts double", call=doubled, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_PAIR)
