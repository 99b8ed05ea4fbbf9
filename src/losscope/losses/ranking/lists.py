"""Lists of scored documents: shapes, padding and DCG. A list is a row; ``mask`` is True for real documents."""

import math

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.reduction import full_precision, same_shape


def as_lists(input: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and relevances [N, M] in full precision with harmless numbers in the padding, and the mask."""
    same_shape(input, target)
    if input.dim() != 2:
        raise BadUsage(
            "scores must be lists [N, M]", seen=str(tuple(input.shape)), remedy="one row per query"
        )
    if mask is None:
        mask = torch.ones_like(input, dtype=torch.bool)
    same_shape(input, mask, ("input", "mask"))
    real = mask != 0
    scores, relevance = full_precision(input, target.to(input.dtype))
    return torch.where(real, scores, 0.0), torch.where(real, relevance, 0.0), real


def gains(relevance: Tensor) -> Tensor:
    """2^rel - 1."""
    return torch.expm1(relevance * math.log(2))


def discounts(ranks: Tensor) -> Tensor:
    """1/log₂(1 + rank) for ranks from 1 on."""
    return math.log(2) / torch.log1p(ranks)


def ideal_dcg(gain: Tensor) -> Tensor:
    """The DCG [N] of lists in the best order; 1 where nothing is relevant, so that it can be divided by."""
    best = gain.sort(1, descending=True).values
    ranks = torch.arange(1, gain.shape[1] + 1, dtype=gain.dtype, device=gain.device)
    total = (best * discounts(ranks)).sum(1)
    return torch.where(total == 0, 1.0, total)
