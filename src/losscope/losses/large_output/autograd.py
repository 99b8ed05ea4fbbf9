"""The linear cross-entropy as autograd functions: loss, gradient, and second derivative.

``backward`` of the loss only multiplies what ``forward`` computed. Where it is itself differentiated
(``create_graph``, ``torch.func``) the gradient is a function of its own, whose derivative is the Hessian times a
vector. Each of them takes whole tensors, so that ``torch.func`` can lift them; under ``vmap`` they run once per
element.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any, NoReturn, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.autograd import Function

from losscope.core.errors import BadUsage
from losscope.losses.large_output.curvature import curvature, curvature_gradient
from losscope.losses.large_output.head import Batch, Head, make_head, waits_for_data
from losscope.losses.large_output.streaming import Gradients, Needs, losses_and_gradients

P = ParamSpec("P")
R = TypeVar("R")
Tensors = tuple[Tensor | None, ...]


def _as_written(method: Callable[P, R]) -> Callable[P, R]:
    """Outside of autocast, which would make low precision of products that are asked for in float32."""

    @wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(a for a in args if isinstance(a, Tensor)).device.type
        with torch.autocast(device, enabled=False):
            return method(*args, **kwargs)

    run.__signature__ = signature(method)  # type: ignore[attr-defined]  which torch would make anew in every call
    return run


class _Batched(Function):
    """A function that ``vmap`` calls once per element."""

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:  # type: ignore[override]
        def element(i: int) -> tuple[Any, ...]:
            pairs = zip(args, in_dims, strict=True)
            picked = (a.select(dim, i) if isinstance(dim, int) else a for a, dim in pairs)
            return cls.apply(*picked)

        columns = zip(*(element(i) for i in range(info.batch_size)), strict=True)
        stacked = tuple(None if column[0] is None else torch.stack(column) for column in columns)
        return stacked, tuple(None if column is None else 0 for column in stacked)


def _finish(head: Head, gradients: Gradients) -> Tensors:
    """Gradients for all samples."""
    by_input, by_weight, by_bias = gradients
    return None if by_input is None else head.spread(by_input), by_weight, by_bias


def _like(found: Iterable[Tensor | None], sources: Iterable[Tensor | None], *, keep: bool = False) -> Tensors:
    """Gradients in the precision of what they are gradients of; with ``keep`` those for float16 stay in float32,
    since the factor of a loss scaler is still to come."""
    return tuple(
        g if g is None or source is None or (keep and source.dtype == torch.float16) else g.to(source.dtype)
        for g, source in zip(found, sources, strict=True)
    )


def _scale(head: Head, factor: Tensor) -> Tensor:
    """What multiplies the loss of each sample that counts, [n] or a scalar."""
    return head.gather(factor) if head.settings.reduction == "none" else head.scale() * factor


def _mean(head: Head) -> Tensor | float:
    return 1.0 if head.settings.reduction == "none" else head.scale()


def _scaled(gradient: Tensor | None, factor: Tensor, like: Tensor | None, *, own: bool) -> Tensor | None:
    """``factor`` times a gradient, in place if it is ours alone."""
    if gradient is None or like is None:
        return None
    if own and waits_for_data(factor) and float(factor) == 1:
        return gradient.to(like.dtype)
    return (gradient.mul_(factor) if own else gradient * factor).to(like.dtype)


class LinearCrossEntropy(_Batched):
    """(loss, gradients by input, weight, bias): the loss is a scalar, or [N] unreduced.

    The gradients are computed where ``needs`` says so, and are no differentiable results.
    """

    @staticmethod
    @_as_written
    def forward(*args: Any) -> tuple[Tensor | None, ...]:
        batch, settings, needs = Batch(*args[:5]), *args[5:]
        head = make_head(batch, settings)
        scale = head.scale()
        losses, gradients = losses_and_gradients(head, scale if any(needs) else None, needs)
        value = head.spread(losses) if settings.reduction == "none" else losses.sum() * scale
        if not any(needs):
            return value, None, None, None
        return value, *_like(_finish(head, gradients), batch[:3], keep=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        *tensors, ctx.settings, ctx.needs = inputs
        _, *gradients = output
        ctx.mark_non_differentiable(*(g for g in gradients if g is not None))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *gradients)
        ctx.save_for_forward(*tensors, *gradients)

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if by_loss is None:
            return (None,) * 7
        input, weight, bias, class_weight, target, *gradients = ctx.saved_tensors
        needs = Needs(*ctx.needs_input_grad[:3])
        ready = any(needs) and all(g is not None for g, need in zip(gradients, needs, strict=True) if need)
        if ready and not torch.is_grad_enabled():
            own, like = _release(ctx), (input, weight, bias)
            found = (_scaled(g, by_loss, t, own=own) for g, t in zip(gradients, like, strict=True))
            return *found, None, None, None, None
        found = Gradient.apply(
            by_loss, input, weight, bias, class_weight, target, *gradients, ctx.settings, needs
        )
        return *found, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *along: Any) -> Tensors:  # type: ignore[override]
        _refuse_nested_forward_mode()
        input, weight, bias, class_weight, target, *gradients = ctx.saved_tensors
        direction = along[:3]
        one = input.new_ones((), dtype=torch.promote_types(input.dtype, torch.float32))
        if ctx.settings.reduction == "none":
            ones = one.expand(target.shape)
            value, *_ = Curvature.apply(
                ones, input, weight, bias, class_weight, target, *direction, ctx.settings
            )
            return value, None, None, None
        needs = Needs(*(t is not None for t in direction))
        found = Gradient.apply(
            one, input, weight, bias, class_weight, target, *gradients, ctx.settings, needs
        )
        terms = [
            (g * t).sum() for g, t in zip(found, direction, strict=True) if g is not None and t is not None
        ]
        return sum(terms[1:], terms[0]), None, None, None


def _release(ctx: Any) -> bool:
    """Let go of the stored gradients if no other backward pass is to follow; tells whether they are gone."""
    if torch._C._autograd._get_current_graph_task_keep_graph():  # type: ignore[attr-defined]
        return False
    ctx.maybe_clear_saved_tensors()
    return True


class Gradient(_Batched):
    """Gradients of Σ factor·loss by input, weight and bias: from those already ``known``, or by another pass."""

    @staticmethod
    @_as_written
    def forward(*args: Any) -> Tensors:
        factor, batch = args[0], Batch(*args[1:6])
        *known, settings, needs = args[6:]
        like = batch[:3]
        if all(g is not None or not needed for g, needed in zip(known, needs, strict=True)):
            picked = (g if needed else None for g, needed in zip(known, needs, strict=True))
            return tuple(_scaled(g, factor, t, own=False) for g, t in zip(picked, like, strict=True))
        head = make_head(batch, settings)
        _, gradients = losses_and_gradients(head, _scale(head, factor), needs)
        return _like(_finish(head, gradients), like)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        *tensors, _, _, _, ctx.settings, ctx.needs = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *direction: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        found = Curvature.apply(*ctx.saved_tensors, *direction, ctx.settings)
        by_factor, *gradients = found
        if ctx.settings.reduction != "none":
            by_factor = by_factor.sum()
        wanted = ctx.needs_input_grad
        picked = (g if need else None for g, need in zip((by_factor, *gradients), wanted[:4], strict=True))
        return *picked, *(None,) * 7

    @staticmethod
    def jvp(ctx: Any, *along: Any) -> Tensors:  # type: ignore[override]
        _refuse_nested_forward_mode()
        by_factor, *direction = along[:4]
        factor, *tensors = ctx.saved_tensors
        curved: list[Tensor | None] = [None] * 3
        if any(t is not None for t in direction):
            _, *curved = Curvature.apply(factor, *tensors, *direction, ctx.settings)
        if by_factor is not None:
            scaled = Gradient.apply(by_factor, *tensors, None, None, None, ctx.settings, ctx.needs)
            curved = [
                b if a is None else a if b is None else a + b for a, b in zip(curved, scaled, strict=True)
            ]
        return tuple(g if need else None for g, need in zip(curved, ctx.needs, strict=True))


class Curvature(_Batched):
    """(derivative of the losses along the direction, [N]; H·direction by input, weight, bias)."""

    @staticmethod
    @_as_written
    def forward(*args: Any) -> Tensors:
        head, scale, direction = _second(*args)
        _, input, weight, bias, *_ = args
        losses, by_input, by_weight, by_bias = curvature(head, scale, direction)
        return (
            head.spread(losses * _mean(head)),
            head.spread(by_input).to(input.dtype),
            by_weight.to(weight.dtype),
            None if bias is None else by_bias.to(bias.dtype),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        *tensors, ctx.settings = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *by_curvature: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *CurvatureGradient.apply(*by_curvature, *ctx.saved_tensors, ctx.settings), None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> NoReturn:  # type: ignore[override]
        raise _too_deep()


class CurvatureGradient(_Batched):
    """Third derivatives: the gradient of the curvature by all that it is made from."""

    @staticmethod
    @_as_written
    def forward(*args: Any) -> Tensors:
        (by_losses, by_input, by_weight, by_bias), rest = args[:4], args[4:]
        factor, input, weight, bias, _, _, *direction, settings = rest
        head, scale, inner = _second(*rest)
        seeds = (
            None if by_losses is None else head.gather(by_losses) * _mean(head),
            None if by_input is None else head.gather(by_input),
            None if by_weight is None else by_weight.to(head.dtype),
            None if by_bias is None else by_bias.to(head.dtype),
        )
        by_scale, layer, along = curvature_gradient(head, scale, inner, seeds)
        each = settings.reduction == "none"
        by_factor = head.spread(by_scale) if each else (by_scale * head.scale()).sum()
        found = (*_finish(head, layer), None, None, *_finish(head, along))
        sources = (input, weight, bias, None, None, *direction)
        return by_factor.to(factor.dtype), *_like(found, sources)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> NoReturn:  # type: ignore[override]
        raise _too_deep()

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> NoReturn:  # type: ignore[override]
        raise _too_deep()


def _second(factor: Tensor, *rest: Any) -> tuple[Head, Tensor, Gradients]:
    """The head, what multiplies each sample that counts, and the direction for those samples."""
    batch, (along_input, along_weight, along_bias, settings) = Batch(*rest[:5]), rest[5:]
    head = make_head(batch, settings)
    along_input = None if along_input is None else head.gather(along_input)
    return head, _scale(head, factor), Gradients(along_input, along_weight, along_bias)


def _too_deep() -> BadUsage:
    return BadUsage(
        "linear_cross_entropy cannot be differentiated this often, or forward over forward",
        remedy="use F.cross_entropy(F.linear(input, weight, bias), target), which holds all scores",
    )


def _refuse_nested_forward_mode() -> None:
    """torch loses the tangents of an outer ``jvp`` in an autograd function, without a word."""
    levels = retrieve_all_functorch_interpreters()
    if sum(level.key() == TransformType.Jvp for level in levels) > 1:
        raise _too_deep()
