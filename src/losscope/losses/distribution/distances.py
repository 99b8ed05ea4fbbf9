"""Pairwise distances of two samples, with gradients that exist where points coincide."""

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.reduction import full_precision
from losscope.losses.regression.elements import safe_root


def pair_of_samples(input: Tensor, target: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """``input`` [N, D] and ``target`` [M, D] in float32 or better; refuses other shapes and fewer rows."""
    if input.dim() != 2 or target.dim() != 2 or input.shape[1] != target.shape[1]:
        raise BadUsage(
            "samples are matrices with one point per row and equally many columns",
            seen=f"{tuple(input.shape)} and {tuple(target.shape)}",
            remedy="flatten points to vectors",
        )
    if min(input.shape[0], target.shape[0]) < least:
        raise BadUsage(
            f"at least {least} points are needed on each side",
            seen=f"{input.shape[0]} and {target.shape[0]}",
            remedy="larger batches",
        )
    input, target = full_precision(input, target)
    return input, target.to(input.dtype)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x_i - y_j‖² [N, M] from the differences: exact for near points far from 0. Memory N·M·D."""
    return (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(-1)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x_i - y_j‖₂ [N, M], with gradient 0 where it is 0."""
    return safe_root(squared_distances(x, y))
