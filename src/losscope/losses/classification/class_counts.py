"""How many training samples each class has, as an option of losses for long-tailed data."""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.core.errors import BadUsage

Counts = Tensor | Sequence[float]


def as_counts(counts: Counts, like: Tensor, classes: int) -> Tensor:
    """``counts`` [C] in the precision and on the device of ``like``. Raises ``BadUsage`` for another length.

    A tensor that is already there is not copied; a list is, at every call.
    """
    found = torch.as_tensor(counts, dtype=like.dtype, device=like.device)
    if tuple(found.shape) != (classes,):
        raise BadUsage(
            "counts must hold one number per class",
            seen=f"shape {tuple(found.shape)} for {classes} classes",
            remedy="torch.bincount(labels, minlength=classes) counts them",
        )
    return found


def along_classes(values: Tensor, input: Tensor) -> Tensor:
    """[C] in a shape that broadcasts against ``input`` [C] or [N, C, …]."""
    return values.view(-1, *[1] * max(0, input.dim() - 2))
