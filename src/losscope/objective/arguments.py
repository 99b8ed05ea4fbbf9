"""Model, loss and penalty as they are given to an objective: what cannot be meant is refused in one line."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from losscope.core.errors import BadUsage

Loss = Callable[..., Tensor]
Penalty = Callable[[nn.Module], Tensor]

_ORDER = "losscope.Objective(model, loss, data): the model comes first"


class WeightDecay:
    """½λ‖θ‖² of all trained parameters, those of a loss that is trained with the model among them."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, whole: nn.Module) -> Tensor:
        squares = [p.square().sum() for p in whole.parameters() if p.requires_grad]
        return 0.5 * self.strength * torch.stack(squares).sum()


def as_model(model: Any, loss: Any) -> nn.Module:
    """The model, not compiled: a compiled one cannot be differentiated twice."""
    swapped = isinstance(loss, nn.Module) and any(p.requires_grad for p in loss.parameters())
    if swapped and (not isinstance(model, nn.Module) or isinstance(model, _Loss)):
        raise BadUsage(
            "model and loss are in each other's place",
            seen=f"model={_name(model)}, loss={_name(loss)}",
            remedy=_ORDER,
        )
    if isinstance(model, type):
        raise BadUsage(
            "the model is a class and not one of its instances",
            seen=_name(model),
            remedy="give what it makes",
        )
    if not isinstance(model, nn.Module):
        raise BadUsage(
            "the model must be a torch.nn.Module",
            seen=type(model).__name__,
            remedy="put the parameters of a plain function into a module",
        )
    return getattr(model, "_orig_mod", model)


def as_loss(loss: Any) -> Loss | None:
    """The loss: a function or a module."""
    if loss is None or (callable(loss) and not isinstance(loss, type | Tensor)):
        return cast("Loss | None", loss)
    if isinstance(loss, Tensor):
        raise BadUsage(
            "the loss is a function, to be computed at other parameters too, and not a value of it",
            seen=f"a tensor of shape {tuple(loss.shape)}",
            remedy="give what computes it of prediction and target, torch.nn.functional.cross_entropy say",
        )
    if isinstance(loss, type):
        raise BadUsage(
            "the loss is a class and not one of its instances",
            seen=_name(loss),
            remedy=f"give {loss.__name__}()",
        )
    raise BadUsage(
        "the loss is a function of prediction and target, or None where the model returns it",
        seen=f"{type(loss).__name__} {loss!r:.60}",
    )


def as_penalty(penalty: Any) -> Penalty | None:
    """The penalty: a function of the model, or λ ≥ 0 for ½λ‖θ‖²."""
    if penalty is None or (callable(penalty) and not isinstance(penalty, type | Tensor)):
        return cast("Penalty | None", penalty)
    try:
        if isinstance(penalty, bool | str | type):
            raise TypeError
        strength = float(penalty)
    except (TypeError, ValueError, RuntimeError):
        raise BadUsage(
            "a penalty is a finite number, or a function of the model", seen=f"{penalty!r:.60}"
        ) from None
    if not math.isfinite(strength):
        raise BadUsage("a penalty is a finite number, or a function of the model", seen=f"{strength}")
    if strength < 0:
        raise BadUsage(
            "a penalty ½λ‖θ‖² has a λ from 0: a negative one rewards large parameters without bound",
            seen=f"penalty={strength:g}",
            remedy="give a function of the model if that is meant",
        )
    return WeightDecay(strength) if strength else None


def as_dtype(dtype: Any) -> torch.dtype | None:
    """A type of real numbers, or none."""
    if dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return dtype
    raise BadUsage(
        "an objective has real floating-point numbers", seen=f"dtype={dtype!r}", remedy="torch.float64, say"
    )


def one_number(value: Any, what: str) -> Tensor:
    """The value of a loss or a penalty, [] with its graph."""
    if not isinstance(value, Tensor):
        raise BadUsage(
            f"the {what} is no tensor",
            seen=type(value).__name__,
            remedy="compute it by torch's operations, without .item(), float() or numpy",
        )
    if value.numel() != 1:
        raise BadUsage(
            f"the {what} is not one number",
            seen=f"shape {tuple(value.shape)}",
            remedy="reduce it, with .mean()",
        )
    if value.is_complex():
        raise BadUsage(f"the {what} is complex", seen=str(value.dtype))
    if torch.is_grad_enabled() and not value.requires_grad:
        raise BadUsage(
            f"the {what} does not depend on the parameters in a differentiable way",
            seen="no autograd graph",
            remedy="compute it by torch's operations, without detach(), .data or torch.no_grad()",
        )
    return value


def _name(value: Any) -> str:
    if isinstance(value, type):
        return f"class {value.__name__}"
    return value.__name__ if hasattr(value, "__name__") else type(value).__name__
