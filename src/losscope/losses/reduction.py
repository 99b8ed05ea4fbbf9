"""How losses per element become one number, as ``torch.nn`` does it, and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from losscope.core.errors import BadUsage


def reduce(losses: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """``none``, ``sum`` or ``mean`` of ``losses``; with ``weight`` the mean is Σ wℓ / Σ w.

    ``weight`` broadcasts against ``losses``. Elements of weight 0 do not count, whatever they hold (NaN
    included); a mean over nothing is 0 and has gradient 0, unlike torch's NaN.

    >>> float(reduce(torch.tensor([1.0, 3.0]), weight=torch.tensor([3.0, 1.0])))
    1.5
    """
    if reduction not in ("none", "mean", "sum"):
        raise BadUsage("unknown reduction", seen=repr(reduction), remedy="use 'none', 'mean' or 'sum'")
    if weight is not None:
        weight = weight.to(losses.dtype).expand_as(losses)
        losses = torch.where(weight == 0, 0.0, losses) * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    total = losses.new_tensor(losses.numel()) if weight is None else weight.sum()
    return losses.sum() / torch.where(total == 0, 1.0, total)


def full_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """float16 and bfloat16 as float32, in which losses are computed and returned; others untouched."""
    low = (torch.float16, torch.bfloat16)
    return tuple(t.float() if t.dtype in low else t for t in tensors)


def outside_autocast(like: Tensor) -> AbstractContextManager[object]:
    """Where a loss multiplies matrices or convolves: autocast would round its float32 operands again.

    >>> a = torch.ones(1, 1)
    >>> with torch.autocast("cpu", torch.bfloat16), outside_autocast(a):
    ...     (a @ a).dtype
    torch.float32
    """
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in the precision of its operands, also under autocast."""
    with outside_autocast(a):
        return a @ b


def same_shape(input: Tensor, target: Tensor, names: tuple[str, str] = ("input", "target")) -> None:
    """Refuse what would broadcast silently, [N] against [N, 1] above all."""
    if input.shape != target.shape:
        raise BadUsage(
            f"{names[0]} and {names[1]} must have the same shape",
            seen=f"{tuple(input.shape)} and {tuple(target.shape)}",
            remedy="squeeze or reshape one of them",
        )
