"""The clipped surrogate that PPO and GRPO share."""

import math

import torch
from torch import Tensor


def clipped_surrogate(log_ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """-min(rA, clip(r, 1-low, 1+high)A) with r = exp(log_ratio), by the one bound that can be active.

    Where A ≥ 0 it is -A·min(r, 1+high), else -A·max(r, 1-low). Clamping the logarithm keeps exp finite wherever the
    value is, so that its gradient is 0 and not 0·inf.
    """
    gain = log_ratio.clamp(max=math.log1p(high))
    loss = log_ratio.clamp(min=math.log1p(-low)) if low < 1 else log_ratio
    return -advantage * torch.where(advantage >= 0, gain, loss).exp()
