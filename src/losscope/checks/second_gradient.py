"""Differentiating twice gives the true curvature, or says that it cannot.

Hessian-vector products by double backward against finite differences of the gradient, in float64 at smooth points. A
loss that refuses ("not implemented", "once differentiable") is honest: a convention. A loss that silently drops the
second derivative, or gets it wrong, is a bug: gradient penalties, influence functions and every curvature built on it
are then wrong without a word.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.differences import precision_of, slope
from losscope.checks.gradient import detaches
from losscope.checks.subject import (
    Raised,
    Subject,
    first_line,
    gradients,
    joined,
    pack,
    packed_gradient,
    room,
)
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_RELATIVE = 1e-4

_DROPPED = Text(
    en="the second derivative is silently dropped: the gradient changes by {slope:.4g}, its gradient is {autograd:.4g}",
    zh="二阶导数被静默丢弃：梯度的变化率为 {slope:.4g}，而对梯度再求导得到 {autograd:.4g}",
)
_WRONG = Text(
    en="double backward gives vᵀHv = {autograd:.6g}, differences of the gradient give {slope:.6g}",
    zh="二次反向传播给出 vᵀHv = {autograd:.6g}，而梯度的差分给出 {slope:.6g}",
)
_DETACHED = Text(
    en="a part is held constant (detach or no_grad): vᵀHv is {autograd:.6g}, the gradient changes by {slope:.6g}",
    zh="部分计算被固定（detach 或 no_grad）：vᵀHv 为 {autograd:.6g}，而梯度的变化率为 {slope:.6g}",
)
_REFUSES = Text(
    en="cannot be differentiated twice, and says so: {error}", zh="不支持二次求导，并明确报错：{error}"
)
_PASS = Text(
    en="{count} products vᵀHv agree with differences of the gradient",
    zh="{count} 个 vᵀHv 与梯度差分一致",
)
_NO_SMOOTH = Text(en="no smooth point was found to compare at", zh="没有找到可比较的光滑点")
_NO_GRADIENT = Text(en="there is no gradient to differentiate", zh="没有可供再次求导的梯度")


def _run(subject: Subject) -> Iterator[Result]:
    compared = 0
    for number, case in enumerate(subject.cases(3, (1.0, 3.0))):
        if packed_gradient(subject, case) is None:
            yield skipped(_NO_GRADIENT)
            return
        try:
            found = _compare(subject, case, number)
        except Raised as refusal:
            yield failed("convention", _REFUSES(error=first_line(refusal.error)))
            return
        if found is None:
            continue
        compared += 1
        if not _agree(*found):
            yield _difference(subject, case, number, *found[:2])
            return
    yield passed(_PASS, {"products": compared}, count=compared) if compared else skipped(_NO_SMOOTH)


def _agree(autograd: float, measured: float, error: float) -> bool:
    distance = abs(autograd - measured)
    return distance <= _RELATIVE * max(abs(autograd), abs(measured)) + 10 * error or distance < 1e-7


def _compare(subject: Subject, case: Sequence[Tensor], seed: int) -> tuple[float, float, float] | None:
    """vᵀHv from double backward, the slope of vᵀ∇ along v, and that slope's error."""
    x, unpack = pack(subject, case)
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    v = (v / v.norm()).to(x.dtype)

    def along(point: Tensor) -> Tensor:
        gradient = packed_gradient(subject, unpack(point))
        return point.new_zeros(()) if gradient is None else gradient @ v

    free = room(subject, case)
    measured = slope(lambda point: float(along(point)), x, v, precision_of(along, x, free), free)
    if not measured.smooth:
        return None
    _, leaves, found = gradients(subject, case, create_graph=True)
    inputs = [leaves[i] for i in subject.predictions]
    product = joined(inputs, found) @ v
    if not product.requires_grad:
        return 0.0, measured.value, measured.error
    try:
        second = torch.autograd.grad(product, inputs, allow_unused=True)
    except Exception as error:
        raise Raised(error) from error
    value = float(joined(inputs, second) @ v)
    return (value, measured.value, measured.error) if math.isfinite(value) else None


def _difference(
    subject: Subject, case: Sequence[Tensor], seed: int, autograd: float, measured: float
) -> Result:
    dropped = abs(autograd) < 1e-9 * abs(measured)
    held = detaches(subject, case)
    declared = subject.spec is not None and subject.spec.gradient_kind != "exact"

    def fails(candidate: Sequence[Tensor]) -> bool:
        found = _compare(subject, candidate, seed)
        return found is not None and not _agree(*found) and abs(found[1]) > 1e-3

    text = _DETACHED if held else _DROPPED if dropped else _WRONG
    return failed(
        "convention" if held or declared else "bug",
        text(autograd=autograd, slope=measured),
        case=case,
        fails=fails,
        seen=f"vᵀHv = {autograd:.6g}",
        expected=f"{measured:.6g}",
        requires_grad=True,
        call="torch.autograd.gradgradcheck(loss, ({args},))  # raises",
    )


CHECK = Check(
    name="second-gradient",
    title=Text(en="double backward is right, or refuses", zh="二次反向传播正确，或明确拒绝"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


class _Once(torch.autograd.Function):
    """x⁴ whose backward computes in a form that autograd cannot follow."""

    @staticmethod
    def forward(ctx, x: Tensor, t: Tensor) -> Tensor:
        d = x - t
        ctx.factor = (4 * d**3 / d.numel()).detach()
        return (d**4).mean()

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        return grad_outputs[0] * ctx.factor, None


def broken() -> Subject:
    """A gradient that was computed in the forward pass and stored as a constant."""
    return Subject(name="stored gradient", call=_Once.apply, arguments=_PAIR)


def sound() -> Subject:
    """Huber loss: curvature 1 or 0, and kinks of the gradient between."""
    return Subject(name="huber", call=F.huber_loss, arguments=_PAIR)
