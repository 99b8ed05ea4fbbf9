"""Nyström's approximation of a kernel for many inputs: K ≈ K_nm K_mm⁻¹ K_mn with m of the n inputs as landmarks.

Landmarks are drawn without replacement. The approximation is never above K, so that tr K - tr K̃ ≥ 0 is the sum of its
errors' eigenvalues. For squares, m of the order of the degrees of freedom of λ, times a logarithm, lose nothing of the
rate of generalisation (Rudi, Camoriano and Rosasco, 2015, arXiv:1507.04717). Source: Williams and Seeger, 2001.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel


@dataclass(frozen=True, slots=True, eq=False)
class Nystroem:
    """Features Φ(x) = k(x, landmarks) U S^-½ [n, m'] with K_mm = U S Uᵀ; m' ≤ m eigenvalues are above rounding."""

    kernel: Kernel
    landmarks: Any
    projection: Tensor

    def features(self, inputs: Any) -> Tensor:
        """Φ [n, m']."""
        return self.kernel(inputs, self.landmarks) @ self.projection


def nystroem(kernel: Kernel, inputs: Any, landmarks: int, seed: int = 0) -> Nystroem:
    """Landmarks drawn by ``seed``. Cost: n·m kernel entries, and 10 m³."""
    n = _length(inputs)
    if not 0 < landmarks <= n:
        raise BadUsage(f"landmarks are from 1 to the {n} inputs", seen=str(landmarks))
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:landmarks]
    chosen = inputs[drawn.to(inputs.device)] if isinstance(inputs, Tensor) else inputs[drawn.numpy()]
    inner = kernel(chosen)
    values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
    kept = values > len(values) * kernel.rounding * values[-1]
    return Nystroem(kernel, chosen, vectors[:, kept] / values[kept].sqrt())


def _length(inputs: Any) -> int:
    if not hasattr(inputs, "shape") or not len(inputs.shape):
        raise BadUsage("landmarks are drawn from one tensor or array of inputs", seen=type(inputs).__name__)
    return int(inputs.shape[0])
