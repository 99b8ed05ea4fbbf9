"""The same batch twice costs as much as once.

A mean over samples does not depend on how many there are. A sum does, and so does one that is divided by something
else than their number (the number of classes, a constant, a sum of class weights): twice the batch is then twice the
loss and twice the gradient, and a learning rate that was found for one batch size is wrong for another.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CASES = 3
_CLOSE = 1e-6

_GROWS = Text(
    en="the same samples twice cost {twice:.6g} instead of {once:.6g}: the loss is no mean over them, it grows with "
    "the batch",
    zh="相同样本出现两次时损失为 {twice:.6g} 而非 {once:.6g}：它不是样本的平均值，会随批大小增长",
)
_MEAN = Text(en="the same samples twice cost the same", zh="相同样本出现两次时损失不变")
_SUM = Text(
    en="the same samples twice cost twice as much, as a sum should", zh="求和时，相同样本出现两次损失加倍"
)
_UNREDUCED = Text(en="the loss is one number per sample", zh="该损失为每个样本给出一个数")
_NO_SAMPLES = Text(en="no axis runs over samples", zh="没有样本轴")
_NEITHER = Text(en="samples are coupled: neither a mean nor a sum", zh="样本相互耦合：既非平均也非求和")


def _run(subject: Subject) -> Iterator[Result]:
    if all(subject.axis(i) is None for i in range(len(subject.arguments))):
        yield skipped(_NO_SAMPLES)
        return
    found = []
    for case in subject.cases(_CASES):
        with torch.no_grad():
            once, count = subject(*case), subject.count(case)
            twice = subject(*subject.rows(case, torch.arange(count).repeat(2)))
        if once.dim() or twice.dim():
            yield skipped(_UNREDUCED)
            return
        found.append((case, float(once), float(twice)))
    known = [(case, a, b) for case, a, b in found if math.isfinite(a) and math.isfinite(b) and abs(a) > 1e-9]
    if known and all(abs(b - a) <= _CLOSE * abs(a) for _, a, b in known):
        yield passed(_MEAN)
    elif known and all(abs(b - 2 * a) <= _CLOSE * abs(a) for _, a, b in known):
        yield from _doubled(subject, known[0])
    else:
        yield skipped(_NEITHER)


def _doubled(subject: Subject, found: tuple) -> Iterator[Result]:
    case, once, twice = found
    meant = subject.options.get("reduction") == "sum" or (subject.described and subject.spec is not None)
    if meant:
        yield passed(_SUM)
        return
    both = subject.rows(case, torch.arange(subject.count(case)).repeat(2))
    text = _GROWS(once=once, twice=twice)
    yield failed(
        "convention", text, case=both, seen=f"{twice:.6g}", expected=f"{once:.6g}, as for one of the two"
    )


CHECK = Check(
    name="batch-size",
    title=Text(en="the value does not grow with the batch", zh="损失值不随批大小增长"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    return Subject(
        name="half a sum", call=lambda x, t: 0.5 * F.mse_loss(x, t, reduction="sum"), arguments=_PAIR
    )


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
