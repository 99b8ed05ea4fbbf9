"""Areas of boxes x₁ y₁ x₂ y₂: intersection, union and hull, with every ratio defined for boxes without area."""

from typing import NamedTuple

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.reduction import full_precision, same_shape


class Overlap(NamedTuple):
    """IoU and union [...], the sizes (width, height) [..., 2] of both boxes and of their hull, and the vector from one
    centre to the other."""

    iou: Tensor
    union: Tensor
    size: Tensor
    target_size: Tensor
    hull: Tensor
    offset: Tensor


def overlap(input: Tensor, target: Tensor) -> Overlap:
    """Of pairs of boxes [..., 4]. A box with x₂ < x₁ has no area, and the hull still holds its corners.

    The IoU of two boxes without area is 1 if they are equal, else 0.
    """
    same_shape(input, target)
    if input.shape[-1:] != (4,):
        raise BadUsage("boxes are [..., 4]: x₁ y₁ x₂ y₂", seen=str(tuple(input.shape)))
    input, target = full_precision(input, target)
    target = target.to(input.dtype)
    low, high, target_low, target_high = input[..., :2], input[..., 2:], target[..., :2], target[..., 2:]
    size, target_size = (high - low).clamp(min=0), (target_high - target_low).clamp(min=0)
    inner = (torch.minimum(high, target_high) - torch.maximum(low, target_low)).clamp(min=0)
    first, last = torch.minimum(input, target), torch.maximum(input, target)
    hull = torch.maximum(last[..., :2], last[..., 2:]) - torch.minimum(first[..., :2], first[..., 2:])
    union = area(size) + area(target_size) - area(inner)
    same = (input == target).all(-1).to(input.dtype)
    iou = torch.where(union == 0, same, ratio(area(inner), union))
    return Overlap(iou, union, size, target_size, hull, ((low - target_low) + (high - target_high)) / 2)


def area(size: Tensor) -> Tensor:
    """Width times height."""
    return size[..., 0] * size[..., 1]


def ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """top / bottom, 0 where bottom is 0 (all of these ratios have 0 at the top there), with finite gradient."""
    empty = bottom == 0
    return (top / bottom.masked_fill(empty, 1.0)).masked_fill(empty, 0.0)


def centre_distance(o: Overlap) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the hull, 0 for two equal points."""
    return ratio(o.offset.square().sum(-1), o.hull.square().sum(-1))
