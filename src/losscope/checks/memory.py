"""Calling the loss again and again does not keep graphs alive.

After some calls to warm up, ten more calls with backward must not leave more tensors alive. A list of past losses
with their graphs is the usual cause; memory then grows until the device is full.
"""

import gc
import weakref
from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Subject, gradients
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CALLS = 10

_GROWS = Text(
    en="{kept} of {calls} results are still alive after their caller dropped them: memory grows with every call",
    zh="{calls} 个结果中有 {kept} 个在调用者释放后仍存活：内存随每次调用增长",
)
_PASS = Text(en="nothing is kept after {calls} calls", zh="{calls} 次调用后没有残留")


_COUNT = f"""import weakref
alive = []
for _ in range({_CALLS}):
    x = {{first}}; loss({{args_with_x}}); alive.append(weakref.ref(x))
del x; print(sum(ref() is not None for ref in alive))"""


def _run(subject: Subject) -> Iterator[Result]:
    inputs: list[weakref.ref] = []
    for seed in range(_CALLS):
        _, leaves, _ = gradients(subject, subject.case(seed))
        inputs.extend(weakref.ref(leaves[i]) for i in subject.predictions[:1])
        del leaves
    if any(reference() is not None for reference in inputs):
        gc.collect()  # what only a cycle keeps is no growth
    kept = sum(reference() is not None for reference in inputs)
    if kept > _CALLS // 2:
        yield failed(
            "bug",
            _GROWS(kept=kept, calls=_CALLS),
            case=subject.case(0),
            seen=f"{kept}",
            expected="none of the inputs alive",
            call=_COUNT,
            requires_grad=True,
        )
    else:
        yield passed(_PASS, {"kept": kept}, calls=_CALLS)


CHECK = Check(
    name="memory-growth",
    title=Text(en="memory does not grow from call to call", zh="内存不随调用增长"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    history: list[Tensor] = []

    def remembering(x: Tensor, t: Tensor) -> Tensor:
        value = F.mse_loss(x, t)
        history.append(value)
        return value

    return Subject(name="history with graphs", call=remembering, arguments=_PAIR)


def sound() -> Subject:
    """Keeps numbers only."""
    history: list[float] = []

    def logging(x: Tensor, t: Tensor) -> Tensor:
        value = F.mse_loss(x, t)
        history.append(float(value.detach()))
        return value

    return Subject(name="history of numbers", call=logging, arguments=_PAIR)
