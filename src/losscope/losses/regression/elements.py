"""What losses of real targets share: the difference, a bounded scale, an exact softplus, a safe root."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.losses.reduction import full_precision, same_shape

LOG_SCALE_LIMIT = 30.0
"""Predicted ln σ are held within ±30 (σ from 1e-13 to 1e13): beyond, σ or its square leaves float32."""


def difference(input: Tensor, target: Tensor) -> Tensor:
    """ŷ - y per element, in float32 or better. Raises ``BadUsage`` where the shapes differ."""
    same_shape(input, target)
    input, target = full_precision(input, target)
    return input - target.to(input.dtype)


def bounded(log_scale: Tensor) -> Tensor:
    """``log_scale`` held within ±``LOG_SCALE_LIMIT``; the gradient beyond is 0."""
    return log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)


def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ), exact in every precision (``F.softplus`` is linear above 20)."""
    return -F.logsigmoid(-x)


def safe_root(square: Tensor) -> Tensor:
    """√s with gradient 0 instead of NaN where s = 0.

    >>> s = torch.zeros(1, requires_grad=True)
    >>> safe_root(s).backward()
    >>> float(s.grad)
    0.0
    """
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())
