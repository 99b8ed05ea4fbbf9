"""The gradient that autograd gives is the derivative of the value.

Directional derivatives in random directions, by central differences in float64 (Richardson, with an error estimate;
kinks are passed over), against autograd. A difference is a bug, unless a part of the loss is detached on purpose: then
it is a convention, or declared where the contract's ``gradient_kind`` says so. A loss whose value changes but that
sends no gradient at all (argmax, rounding, ``.item()``, NumPy in between) is a bug.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.differences import precision_of, slope
from losscope.checks.subject import Subject, pack, packed_gradient, replaced, room, with_gradient
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_RELATIVE = 1e-4  # the differences are good to 1e-8; a wrong gradient is off by percents

_WRONG = Text(
    en="autograd gives the slope {autograd:.6g} along a direction, the value changes by {slope:.6g} (± {error:.1g})",
    zh="沿某一方向，autograd 给出的斜率为 {autograd:.6g}，而损失值本身的变化率为 {slope:.6g}（± {error:.1g}）",
)
_DETACHED = Text(
    en="a part is held constant (detach or no_grad): gradient {autograd:.6g}, slope of the value {slope:.6g}",
    zh="部分计算被固定（detach 或 no_grad），因此梯度并非损失值的梯度：{autograd:.6g} 对 {slope:.6g}",
)
_NONE = Text(
    en="the value changes with the prediction (slope {slope:.4g}), but no gradient reaches it: nothing can be learnt",
    zh="损失值随预测而变（斜率 {slope:.4g}），但没有梯度传到预测：无法学习",
)
_STEP = Text(
    en="no gradient reaches the prediction: the value changes only in steps, as a metric does",
    zh="没有梯度传到预测：损失值只会跳变，像评价指标一样",
)
_PASS = Text(
    en="{count} directional derivatives agree with finite differences (largest difference {worst:.1e})",
    zh="{count} 个方向导数与有限差分一致（最大差异 {worst:.1e}）",
)
_NO_SMOOTH = Text(en="no smooth point was found to compare at", zh="没有找到可比较的光滑点")
_CONSTANT = Text(
    en="the value does not depend on the prediction in ordinary cases", zh="在普通输入下损失值不依赖于预测"
)


class Detaching(TorchFunctionMode):
    """Notices whether something that needs a gradient is detached, or computed without one."""

    def __init__(self) -> None:
        super().__init__()
        self.detached = self.without = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if any(isinstance(a, Tensor) and a.requires_grad for a in args):
            self.detached = self.detached or getattr(func, "__name__", "") in ("detach", "detach_")
            self.without = self.without or not torch.is_grad_enabled()
        return func(*args, **(kwargs or {}))


def detaches(subject: Subject, case: Sequence[Tensor]) -> bool:
    """Whether the loss detaches a part of what it computes from its predictions.

    An ``autograd.Function`` of the author's runs without a gradient by nature: there only ``detach`` counts.
    """
    with Detaching() as mode:
        value = subject(*with_gradient(subject, case))
    return mode.detached or (mode.without and not _has_own_backward(value))


def _has_own_backward(value: Tensor) -> bool:
    """Whether the graph holds a node whose backward somebody wrote in Python."""
    stack, seen = [value.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        stack.extend(following for following, _ in node.next_functions)
    return False


def _run(subject: Subject) -> Iterator[Result]:
    compared, worst, sloping = 0, 0.0, False
    for number, case in enumerate(subject.cases(4, (1.0, 3.0))):
        found = _compare(subject, case, number)
        if found is None:
            continue
        autograd, measured, error = found
        sloping = sloping or abs(measured) > 0 or bool(autograd)
        if autograd is None:
            if abs(measured) > 10 * error and abs(measured) > 1e-9:
                yield _no_gradient(subject, case, measured)
                return
            continue
        compared += 1
        distance = abs(autograd - measured)
        scale = max(abs(autograd), abs(measured))
        if distance > _RELATIVE * scale + 10 * error and distance > 1e-7:
            yield _wrong(subject, case, number, (autograd, measured, error))
            return
        worst = max(worst, distance / max(scale, 1e-12) if scale > 1e-9 else 0.0)
    if compared == 0 or (not sloping and _varies(subject)):
        yield from _nothing_compared(subject)
        return
    yield passed(_PASS, {"directions": compared, "largest difference": worst}, count=compared, worst=worst)


def _compare(subject: Subject, case: Sequence[Tensor], seed: int) -> tuple[float | None, float, float] | None:
    """Autograd's and the measured slope along one direction; ``None`` where the point is not smooth."""
    x, unpack = pack(subject, case)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    direction = (direction / direction.norm()).to(x.dtype)
    free = room(subject, case)
    precision = precision_of(lambda v: subject.value(unpack(v)), x, free)
    with torch.no_grad():
        measured = slope(lambda v: float(subject.value(unpack(v))), x, direction, precision, free)
    if not measured.smooth:
        return None
    gradient = packed_gradient(subject, case)
    if gradient is None:
        return None, measured.value, measured.error
    autograd = float(gradient.to(torch.float64) @ direction.to(torch.float64))
    return (autograd, measured.value, measured.error) if math.isfinite(autograd) else None


def _wrong(subject: Subject, case: Sequence[Tensor], seed: int, found: tuple[float, float, float]) -> Result:
    autograd, measured, error = found

    def fails(candidate: Sequence[Tensor]) -> bool:
        found = _compare(subject, candidate, seed)
        if found is None or found[0] is None:
            return False
        return abs(found[0] - found[1]) > 0.01 * max(abs(found[0]), abs(found[1])) + 10 * found[2]

    held = detaches(subject, case)
    declared = subject.spec is not None and subject.spec.gradient_kind != "exact"
    text = _DETACHED if held else _WRONG
    values = {"autograd": autograd, "slope": measured} | ({} if held else {"error": error})
    return failed(
        "convention" if held or declared else "bug",
        text(**values),
        case=case,
        fails=fails if not held else None,
        seen=f"slope {autograd:.6g}",
        expected=f"{measured:.6g}",
        requires_grad=True,
        call="torch.autograd.gradcheck(loss, ({args},))  # raises",
    )


def _no_gradient(subject: Subject, case: Sequence[Tensor], measured: float) -> Result:
    return failed(
        "bug",
        _NONE(slope=measured),
        case=case,
        fails=lambda candidate: packed_gradient(subject, candidate) is None,
        seen="no gradient",
        expected=f"slope {measured:.4g}",
        requires_grad=True,
        call="loss({args}).sum().backward()  # does not require grad",
    )


def _nothing_compared(subject: Subject) -> Iterator[Result]:
    case = subject.case(0)
    gradient = packed_gradient(subject, case)
    if gradient is not None and bool((gradient != 0).any()):
        yield skipped(_NO_SMOOTH)
        return
    if _varies(subject):
        yield failed(
            "bug",
            _STEP(),
            case=case,
            fails=lambda candidate: not _sloping(subject, candidate),
            seen="no gradient",
            requires_grad=True,
            call="loss({args}).sum().backward()  # does not require grad, or a gradient of 0",
        )
    else:
        yield skipped(_CONSTANT)


def _sloping(subject: Subject, case: Sequence[Tensor]) -> bool:
    gradient = packed_gradient(subject, case)
    return gradient is not None and bool((gradient != 0).any())


def _varies(subject: Subject) -> bool:
    """Whether other predictions, for the same targets, have other values."""
    case = subject.case(0)
    others = [replaced(case, {i: subject.case(seed)[i] for i in subject.predictions}) for seed in range(1, 6)]
    return len({float(subject.value(c).detach()) for c in (case, *others)}) > 1


CHECK = Check(
    name="gradient",
    title=Text(en="gradient equals the slope of the value", zh="梯度等于损失值的斜率"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


class _HalfGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(x, t)
        return (x - t).square().mean()

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        x, t = ctx.saved_tensors
        return grad_outputs[0] * (x - t) / x.numel(), None  # the factor 2 is missing


def broken() -> Subject:
    """A hand-written backward that forgets a factor 2."""
    return Subject(name="half-gradient", call=_HalfGradient.apply, arguments=_PAIR)


def sound() -> Subject:
    """Absolute error: its kink is no fault."""
    return Subject(name="l1", call=F.l1_loss, arguments=_PAIR)
