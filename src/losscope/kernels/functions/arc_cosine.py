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
from losscope.kernels.functions.kernel import Kernel, not_negative, pair, points, positive

__all__ = ["ReLUNNGP", "ReLUNTK"]

_TINY = torch.finfo(torch.float64).tiny
_NEAR = 0.999  # a cosine above which the angle is taken from the difference
_BLOCK = 1 << 22  # numbers in one block of differences


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
        x, z = (
            torch.cat([v * math.sqrt(w / v.shape[1]), v.new_full((len(v), 1), math.sqrt(b))], 1)
            for v in (x, z)
        )
        of_x, of_z = (v.norm(dim=1) for v in (x, z))
        apart, angle = _angles(x / of_x.clamp_min(_TINY)[:, None], z / of_z.clamp_min(_TINY)[:, None])
        size = of_x[:, None] * of_z[None, :]
        yield size * (1 - apart), None
        for _ in range(self.depth):
            # 1 - κ₁, without the difference of two numbers near 1
            bent = apart - (angle.sin() - angle * (1 - apart)) / math.pi
            slope = (math.pi - angle) / math.pi
            rise, of_x, of_z = (
                b * 0.5 * w * (of_x[:, None] - of_z[None, :]).square(),
                _next(of_x, w, b),
                _next(of_z, w, b),
            )
            inner = 0.5 * w * size
            size = of_x[:, None] * of_z[None, :]
            rise = rise / (size + b + inner).clamp_min(_TINY)
            apart = ((rise + inner * bent) / size.clamp_min(_TINY)).clamp_(0.0, 2.0)
            angle = 2 * (0.5 * apart).sqrt().asin()
            yield size * (1 - apart), slope

    def _variances(self, inputs: Any) -> list[Tensor]:
        """Σˡ_xx of every layer."""
        x, w, b = points(inputs), self.weight_variance, self.bias_variance
        found = [w / x.shape[1] * x.square().sum(1) + b]
        for _ in range(self.depth):
            found.append(b + 0.5 * w * found[-1])
        return found


def _next(size: Tensor, w: float, b: float) -> Tensor:
    """√Σˡ⁺¹_xx from √Σˡ_xx."""
    return (b + 0.5 * w * size.square()).sqrt()


def _angles(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """1 - x·z and the angles [n, m] of vectors of length 1, from differences where they nearly agree or are opposite.

    The arc-cosine of a product that is rounded to 1 ± ε is wrong by √ε, and does not exist above 1.
    """
    cosine = (x @ z.T).clamp_(-1.0, 1.0)
    apart, angle = 1 - cosine, cosine.arccos()
    for sign in (1, -1):
        rows, columns = (sign * cosine > _NEAR).nonzero(as_tuple=True)
        for part in torch.arange(len(rows), device=x.device).split(max(1, _BLOCK // x.shape[1])):
            r, c = rows[part], columns[part]
            chord = (x[r] - sign * z[c]).norm(dim=1)
            half, small = 0.5 * chord.square(), 2 * (0.5 * chord).asin()
            apart[r, c] = half if sign > 0 else 2 - half
            angle[r, c] = small if sign > 0 else math.pi - small
    return apart, angle


class ReLUNNGP(_ReLU):
    """Σ: the covariance of the outputs of an infinitely wide random ReLU network. Cost: n·m·(d + depth).

    >>> ReLUNNGP(depth=1)([[1.0, 0.0], [0.0, 1.0]])[0]  # 1, and κ₁(0) = 1/π
    tensor([1.0000, 0.3183], dtype=torch.float64)
    """

    def __call__(self, one: Any, other: Any = None) -> Tensor:
        *_, (found, _) = self._layers(one, other)
        return (found + found.T) / 2 if other is None else found

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
        return (total + total.T) / 2 if other is None else total

    def diagonal(self, inputs: Any) -> Tensor:
        first, *others = self._variances(inputs)
        total = first
        for variance in others:
            total = variance + 0.5 * self.weight_variance * total
        return total
