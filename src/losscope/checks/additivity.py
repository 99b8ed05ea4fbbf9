"""The loss of a batch is the mean of the losses of its samples, each alone.

Then batches can be split, accumulated and averaged at will. A loss that couples samples (contrastive losses, a root
of a mean, a mean by a sum of weights) has a field ``batch_coupled`` in its contract; the checker holds the contract to
it, in both directions. A sum over samples is as good as a mean.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CLOSE = 1e-9
_SINGLE = 1e-4

_COUPLED = Text(
    en="the loss of a batch, {batch:.6g}, is not the mean of its samples' losses, {mean:.6g}",
    zh="一批样本的损失 {batch:.6g} 并非各样本损失的平均值 {mean:.6g}",
)
_ALONE = Text(
    en="samples are coupled: one alone has no loss ({error})", zh="样本相互耦合：单个样本没有损失（{error}）"
)
_PASS = Text(
    en="the loss of a batch is the {what} of its samples' losses", zh="一批样本的损失是各样本损失的{what}"
)
_AS_CLAIMED = Text(en="samples are coupled, as the contract says", zh="样本相互耦合，与契约一致")
_UNCOUPLED = Text(
    en="the contract says that samples are coupled, but the loss is the mean over them",
    zh="契约称样本相互耦合，但损失就是它们的平均值",
)
_STATEFUL = Text(en="the loss has a state that changes from call to call", zh="损失带有随调用变化的状态")


def _compare(subject: Subject, case: Sequence[Tensor]) -> tuple[float, float, float, bool]:
    """Value of a batch, mean and sum of the values of its samples, and whether the first is one of these."""
    with torch.no_grad():
        batch = subject.value(case)
        count = subject.count(case)
        rows = [float(subject.value(subject.rows(case, torch.tensor([i])))) for i in range(count)]
    close = _CLOSE if batch.dtype == torch.float64 else _SINGLE
    total, mean, value = sum(rows), sum(rows) / max(1, count), float(batch)
    size = max([abs(value), *(abs(r) for r in rows)]) + 1e-3
    same = min(abs(value - mean), abs(value - total)) <= close * size
    return value, mean, total, same


def _run(subject: Subject) -> Iterator[Result]:
    spec = subject.spec
    if spec is not None and spec.stateful:
        yield skipped(_STATEFUL)
        return
    claimed = None if spec is None else not spec.batch_coupled
    result = _search(subject)
    if result is None:
        if claimed is False:
            yield failed("bug", _UNCOUPLED())
            return
        value, mean, _, _ = _compare(subject, subject.case(0))
        is_sum = abs(value - mean) > _SINGLE * (abs(value) + abs(mean))
        yield passed(_PASS, what="sum" if is_sum else "mean")
    elif claimed is False:
        yield failed("by-design", _AS_CLAIMED())
    else:
        yield result if claimed is None else failed("bug", result.text, **_how(result))


def _how(result: Result) -> dict:
    return {"case": result.case, "fails": result.fails, "seen": result.seen, "expected": result.expected}


def _search(subject: Subject) -> Result | None:
    """A batch whose loss is neither the mean nor the sum of its samples' losses."""
    for sizes in ({}, {"N": 3}):
        for case in subject.cases(3, (1.0, 3.0), **sizes):
            subject.value(case)  # what it raises here is not about single samples
            try:
                value, mean, _, same = _compare(subject, case)
            except (Raised, NotALoss) as error:
                return failed("by-design", _ALONE(error=str(error)[:120]), case=case)
            if not same and not math.isnan(value):
                return _coupled(subject, case, value, mean)
    return None


def _coupled(subject: Subject, case: Case, value: float, mean: float) -> Result:
    def fails(candidate: Sequence[Tensor]) -> bool:
        found, average, total, _ = _compare(subject, candidate)
        return min(abs(found - average), abs(found - total)) > 0.01 * max(abs(found), abs(average))

    return failed(
        "by-design",
        _COUPLED(batch=value, mean=mean),
        case=case,
        fails=fails,
        seen=f"{value:.6g}",
        expected=f"{mean:.6g}, the mean over the samples",
        figures={"batch": value, "mean of samples": mean},
    )


CHECK = Check(
    name="additive",
    title=Text(en="additive over the samples of a batch", zh="对一批样本可加"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """A root of a mean is no mean of roots."""
    return Subject(name="rmse", call=lambda x, t: F.mse_loss(x, t).sqrt(), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
