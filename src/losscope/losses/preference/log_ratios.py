"""What preference losses share: implicit rewards, ln(1 - eˣ), and shapes that must agree."""

import math

import torch
from torch import Tensor

from losscope.losses.reduction import full_precision, same_shape


def agreeing(*log_likelihoods: Tensor) -> tuple[Tensor, ...]:
    """The tensors in full precision, after their shapes are known to agree."""
    for other in log_likelihoods[1:]:
        same_shape(log_likelihoods[0], other, ("the log-likelihoods", "the others"))
    return full_precision(*log_likelihoods)


def log1mexp(x: Tensor) -> Tensor:
    """ln(1 - eˣ) for x ≤ 0 without cancellation (Mächler 2012); x above -ε counts as -ε, so that it is finite.

    >>> import torch
    >>> round(float(log1mexp(torch.tensor(-1e-3, dtype=torch.float64))), 6)
    -6.908255
    """
    x = x.clamp(max=-torch.finfo(x.dtype).eps)
    near = x > -math.log(2)
    # Each branch sees harmless numbers where the other one is taken: their gradients are multiplied by 0, not by inf.
    below = torch.where(near, -1.0, x)
    above = torch.where(near, x, -1.0)
    return torch.where(near, (-above.expm1()).log(), (-below.exp()).log1p())
