"""``torch.compile(fullgraph=True)`` takes the loss whole and gives the same value and gradient.

The graph is captured by dynamo and AOT autograd, without a compiler behind it: what is tested is whether the loss
can be captured, not how fast it gets. A graph break is a convention; another value is a bug.
"""

import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Subject, as_tensor, first_line, packed_gradient, with_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_BREAKS = Text(en="cannot be captured whole: {error}", zh="无法整体捕获：{error}")
_VALUE = Text(
    en="compiled it gives {seen:.8g}, plain {expected:.8g}",
    zh="编译后得到 {seen:.8g}，普通调用得到 {expected:.8g}",
)
_GRADIENT = Text(
    en="the compiled gradient differs from the plain one by {distance:.3g}",
    zh="编译后的梯度与普通梯度相差 {distance:.3g}",
)
_PASS = Text(en="captured whole, same value and gradient", zh="可整体捕获，值与梯度一致")
_RANDOM = Text(en="the value depends on the random state", zh="损失值依赖随机状态")

_REMEMBERS = Text(
    en="the loss remembers its calls: there is nothing to compare", zh="该损失记住以前的调用：无从比较"
)


def _run(subject: Subject) -> Iterator[Result]:
    if subject.remembering is not None:
        yield skipped(_REMEMBERS)
        return
    case = subject.case(0)
    expected = float(subject.value(case))
    if float(subject.value(case)) != expected:
        yield skipped(_RANDOM)
        return
    leaves = with_gradient(subject, case)
    torch.compiler.reset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = torch.compile(subject.call, fullgraph=True, backend="aot_eager", dynamic=False)
            value = as_tensor(compiled(*leaves)).sum()
            if value.requires_grad:
                value.backward()
    except Exception as error:  # noqa: BLE001  whatever stops the capture
        yield failed("convention", _BREAKS(error=_reason(error)), seen="graph break")
        return
    finally:
        torch.compiler.reset()
    seen = float(value.detach())
    if abs(seen - expected) > 1e-5 * (1 + abs(expected)):
        yield failed("bug", _VALUE(seen=seen, expected=expected), case=case, seen=f"{seen:.8g}")
        return
    plain = packed_gradient(subject, case)
    grads = [leaves[i].grad for i in subject.predictions]
    if plain is not None and all(g is not None for g in grads):
        distance = float((torch.cat([g.reshape(-1) for g in grads if g is not None]) - plain).abs().max())
        if distance > 1e-5 * (1 + float(plain.abs().max())):
            yield failed("bug", _GRADIENT(distance=distance), case=case, seen=f"differs by {distance:.3g}")
            return
    yield passed(_PASS)


def _reason(error: Exception) -> str:
    """Dynamo's explanation in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if line.startswith("Explanation:")), None)
    return (told or first_line(error)).removeprefix("Explanation:").strip()


CHECK = Check(
    name="compile",
    title=Text(en="torch.compile takes it whole", zh="torch.compile 可整体编译"),
    run=_run,
    slow=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Branches on a number that only the data know."""

    def branching(x: Tensor, t: Tensor) -> Tensor:
        if float((x - t).abs().max()) > 1:
            return F.l1_loss(x, t)
        return F.mse_loss(x, t)

    return Subject(name="branching", call=branching, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
