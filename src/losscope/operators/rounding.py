"""What is lost in sums of numbers of half precision, which an "exact" value must own up to."""

import math

import torch

from losscope.core.estimate import Estimate

_NOTICEABLE = 1e-4  # single and double precision are far below the digits that are printed


def rounded(value: float, stderr: float, products: int, seconds: float, dtype: torch.dtype) -> Estimate:
    """An estimate whose error holds one rounding of the value, for what is computed in half precision.

    ``dtype`` is the coarsest type on the way, which under autocast is not that of the parameters.

    >>> rounded(2.0, 0.0, 3, 0.1, torch.float32).stderr, rounded(2.0, 0.0, 3, 0.1, torch.bfloat16).stderr
    (0.0, 0.015625)
    """
    eps = torch.finfo(dtype).eps
    lost = eps * abs(value) if eps > _NOTICEABLE else 0.0
    return Estimate(value, math.hypot(stderr, lost), products, seconds)
