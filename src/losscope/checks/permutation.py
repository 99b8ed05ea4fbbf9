"""The order of the samples does not matter, and samples are not mixed up.

The same batch in another order must give the same value and the same gradient per sample. An exception is a loss over
an ordered batch, which its contract says. A batch may also be made of blocks: [clean, augmented, augmented], two views
of the same images one after the other, or in turn. Then the same order within every block changes nothing, while any
other order does: a **convention**, since a data loader that shuffles or drops samples breaks it without a word.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Raised, Subject, packed_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CHANGED = Text(
    en="the same samples in another order: {seen:.8g} instead of {first:.8g}",
    zh="同样的样本换个顺序：{seen:.8g}，而不是 {first:.8g}",
)
_PASS = Text(en="{count} orders give the same value", zh="{count} 种顺序得到相同的值")
_SAMPLES = 24
_COUNTS = (2, 3, 4)
_BLOCKS = Text(
    en="a batch is made of {count} blocks, {layout}: any order that is not the same in all of them changes the value",
    zh="一个批次由 {count} 块组成（{layout}）：各块顺序不一致时损失值会改变",
)
_ONE_AFTER_ANOTHER = Text(en="one after the other", zh="依次排列")
_IN_TURN = Text(en="whose members take turns", zh="交错排列")
_SINGLE = Text(en="the loss has no axis of samples", zh="该损失没有样本轴")


def _run(subject: Subject) -> Iterator[Result]:
    if not any(subject.axis(i) == 0 for i in subject.predictions):
        yield skipped(_SINGLE)
        return
    sizes = _sizes(subject)
    for number, case in enumerate(subject.cases(4, (1.0,), **sizes)):
        found = _changed(subject, case, number)
        if found is not None:
            blocks = _blocks(subject, sizes)
            if blocks is not None:
                yield failed("convention", _BLOCKS(count=blocks[0], layout=blocks[1]()), case=case)
                return
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


def _sizes(subject: Subject) -> dict[str, int]:
    """Many samples, unless the loss was built for another number."""
    try:
        subject.value(subject.case(0, N=_SAMPLES))
    except Raised:
        return {}
    return {"N": _SAMPLES}


def _blocks(subject: Subject, sizes: Mapping[str, int]) -> tuple[int, Text] | None:
    """How many blocks a batch has, and how they lie; ``None`` where no such structure explains the order."""
    samples = subject.count(subject.case(0, **sizes))
    for count in (c for c in _COUNTS if samples % c == 0 and samples > 2 * c):
        length = samples // count
        for name, place in (
            (_ONE_AFTER_ANOTHER, torch.arange(samples).reshape(count, length)),
            (_IN_TURN, torch.arange(samples).reshape(length, count).T),
        ):
            if all(_kept(subject, sizes, place, seed) for seed in range(4)):
                return count, name
    return None


def _kept(subject: Subject, sizes: Mapping[str, int], place: Tensor, seed: int) -> bool:
    """Whether one order for all blocks leaves the value; ``place``: [blocks, members], where in the batch they are."""
    case = subject.case(seed, **sizes)
    order = torch.randperm(place.shape[1], generator=torch.Generator().manual_seed(seed + 1))
    moved = torch.empty(place.numel(), dtype=torch.int64)
    moved[place] = place[:, order]
    return _differing(subject, case, subject.rows(case, moved)) is None


def _changed(subject: Subject, case: Sequence[Tensor], seed: int) -> tuple[float, float] | None:
    order = torch.randperm(subject.count(case), generator=torch.Generator().manual_seed(seed))
    return _differing(subject, case, subject.rows(case, order))


def _differing(
    subject: Subject, case: Sequence[Tensor], other: Sequence[Tensor]
) -> tuple[float, float] | None:
    """The two values, or sizes of gradients, where they are not the same."""
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
