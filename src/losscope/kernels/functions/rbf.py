"""The Gaussian (radial basis function) kernel k(x, z) = exp(-‖x - z‖² / 2σ²)."""

from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel, pair, points, positive

__all__ = ["RBF"]

_MOST = 2000  # points among which distances are compared


class RBF(Kernel):
    """exp(-‖x - z‖² / 2σ²) with the length scale σ in units of the inputs (γ = 1 / 2σ² elsewhere).

    ``RBF.median(inputs)`` takes the median distance between two inputs for σ. Cost: n·m·d.

    >>> RBF(2.0)([[0.0], [2.0]])[0].tolist() == [1.0, torch.tensor(-0.5).double().exp().item()]
    True
    >>> RBF.median([[0.0], [1.0], [3.0]]).length
    2.0
    """

    def __init__(self, length: float) -> None:
        self.length = positive(length, "a length scale")

    @classmethod
    def median(cls, inputs: Any, seed: int = 0) -> "RBF":
        """σ = the median distance between different inputs, of at most 2,000 that ``seed`` draws."""
        x = points(inputs)
        if len(x) > _MOST:
            x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:_MOST].to(x.device)]
        distances = torch.nn.functional.pdist(x)
        apart = distances[distances > 0]
        if not len(apart):
            raise BadUsage(
                "there is no distance to take the median of: all inputs agree", seen=f"{len(x)} inputs"
            )
        return cls(float(apart.median()))

    def __repr__(self) -> str:
        return f"RBF(length={self.length:.6g})"

    def __call__(self, one: Any, other: Any = None) -> Tensor:
        x, z = pair(one, other)
        distances = torch.cdist(x, z, compute_mode="donot_use_mm_for_euclid_dist")  # exact zeros
        return distances.div_(self.length).square_().mul_(-0.5).exp_()

    def diagonal(self, inputs: Any) -> Tensor:
        return torch.ones_like(points(inputs)[:, 0])
