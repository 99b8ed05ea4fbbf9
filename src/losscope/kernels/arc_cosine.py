"""The two kernels of infinitely wide ReLU networks, in closed form by arc-cosines.

A network in the tangent-kernel parametrisation, h ↦ σ_w/√(fan in) W h + σ_b b with standard normal W, b, and ``depth``
hidden layers of ReLUs, is at initialisation a Gaussian process with covariance Σ (NNGP), and is trained by gradient
descent as a kernel machine with the tangent kernel Θ (NTK):

    Σ⁰ = σ_b² + σ_w² x·z/d,                     Θ⁰ = Σ⁰,
    Σˡ⁺¹ = σ_b² + ½σ_w² √(Σˡ_xx Σˡ_zz) κ₁(ρ),   Θˡ⁺¹ = Σˡ⁺¹ + ½σ_w² κ₀(ρ) Θˡ,     ρ = Σˡ_xz / √(Σˡ_xx Σˡ_zz),
    κ₀ = (π - θ)/π,   κ₁ = (sin θ + (π - θ) cos θ)/π,   θ = arccos ρ.

Sources: Cho and Saul, 2009, NeurIPS 22, equations 3 to 6; Lee et al., 2018, arXiv:1711.00165; Jacot, Gabriel and
Hongler, 2018, arXiv:1806.07572, theorem 1. With σ_w² = 2, σ_b = 0 the signal keeps its size from layer to layer.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.kernel import Kernel, not_negative, pair, points, positive

__all__ = ["ReLUNNGP", "ReLUNTK"]


class _ReLU(Kernel):
    """Both recursions; ``depth`` hidden layers, variances σ_w² and σ_b²."""

    def __init__(self, depth: int = 1, weight_variance: float = 2.0, bias_variance: float = 0.0) -> None:
        if not isinstance(depth, int) or depth < 0:
            raise BadUsage("the depth is the number of hidden layers, from 0", seen=repr(depth))
        self.depth = depth
        self.weight_variance = positive(weight_variance, "the variance of weights")
        self.bias_variance = not_negative(bias_variance, "the variance of biases")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(depth={self.depth}, weight_variance={self.weight_variance:g}, "
            f"bias_variance={self.bias_variance:g})"
        )

    def _layers(self, one: Any, other: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Σˡ and κ₀ of the layer before, from the inputs to the output."""
        x, z = pair(one, other)
        w, b = self.weight_variance, self.bias_variance
        same = other is None
        covariance = w / x.shape[1] * (x @ z.T) + b
        of_x, of_z = (w / x.shape[1] * v.square().sum(1) + b for v in (x, z))
        yield covariance, None
        for _ in range(self.depth):
            size = (of_x[:, None] * of_z[None, :]).sqrt()
            cosine = (covariance / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp_(-1.0, 1.0)
            if same:
                cosine.fill_diagonal_(1.0)  # the arc-cosine of a rounded 1 is wrong by 1e-8
            angle = cosine.arccos()
            bent = (angle.sin() + (math.pi - angle) * cosine) / math.pi
            covariance = b + 0.5 * w * size * bent
            of_x, of_z = b + 0.5 * w * of_x, b + 0.5 * w * of_z
            yield covariance, (math.pi - angle) / math.pi

    def _variances(self, inputs: Any) -> list[Tensor]:
        """Σˡ_xx of every layer."""
        x, w, b = points(inputs), self.weight_variance, self.bias_variance
        found = [w / x.shape[1] * x.square().sum(1) + b]
        for _ in range(self.depth):
            found.append(b + 0.5 * w * found[-1])
        return found


class ReLUNNGP(_ReLU):
    """Σ: the covariance of the outputs of an infinitely wide random ReLU network. Cost: n·m·(d + depth).

    >>> ReLUNNGP(depth=1)([[1.0, 0.0], [0.0, 1.0]])[0]  # 1, and κ₁(0) = 1/π
    tensor([1.0000, 0.3183], dtype=torch.float64)
    """

    def __call__(self, one: Any, other: Any = None) -> Tensor:
        found = None
        for found, _ in self._layers(one, other):
            pass
        assert found is not None
        return found

    def diagonal(self, inputs: Any) -> Tensor:
        return self._variances(inputs)[-1]


class ReLUNTK(_ReLU):
    """Θ: the tangent kernel of an infinitely wide ReLU network. Cost: n·m·(d + depth).

    >>> ReLUNTK(depth=1)([[1.0, 0.0], [0.0, 1.0]])[0]  # 2, and κ₁(0) + 0 κ₀(0)
    tensor([2.0000, 0.3183], dtype=torch.float64)
    """

    def __call__(self, one: Any, other: Any = None) -> Tensor:
        total: Tensor | None = None
        for covariance, slope in self._layers(one, other):
            if total is None or slope is None:
                total = covariance
            else:
                total = covariance + 0.5 * self.weight_variance * slope * total
        assert total is not None
        return total

    def diagonal(self, inputs: Any) -> Tensor:
        first, *others = self._variances(inputs)
        total = first
        for variance in others:
            total = variance + 0.5 * self.weight_variance * total
        return total
