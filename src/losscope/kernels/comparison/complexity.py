"""The norm of a function that is known on the data: the smallest one in the kernel's space that agrees there.

min ‖f‖²_H with f(x_i) = y_i is yᵀ K⁻¹ y. For targets it is the complexity of Arora, Du, Hu, Li and Wang, 2019,
arXiv:1901.08584: gradient descent on a wide two-layer ReLU network generalises as √(2 yᵀ K⁻¹ y / n) with K its tangent
kernel (equation 3; inputs of length 1, |y| ≤ 1). Random labels have a large one.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel
from losscope.kernels.machines.gram import gram_of

__all__ = ["Complexity", "complexity"]


@dataclass(frozen=True, slots=True)
class Complexity:
    """``squared`` = yᵀ K⁺ y over the eigenvectors that the kernel's rounding lets be told from zero.

    ``outside`` is the share of ‖y‖² in the others, which no function in the space of the kernel has.
    """

    squared: float
    outside: float
    rank: int
    samples: int

    @property
    def norm(self) -> float:
        """‖f‖_H."""
        return math.sqrt(self.squared)

    @property
    def bound(self) -> float:
        """√(2 yᵀ K⁻¹ y / n) of Arora et al., to leading order; infinite where a part of y is outside."""
        return (
            math.sqrt(2 * self.squared / self.samples)
            if self.outside <= self.samples * torch.finfo(torch.float64).eps
            else math.inf
        )


def complexity(kernel: Kernel | Tensor, inputs: Any, values: Any) -> Complexity:
    """The norm of what takes ``values`` [n] or [n, C] on the data; of several outputs their sum of squares. 10 R³.

    >>> complexity(torch.diag(torch.tensor([1.0, 4.0])), None, torch.tensor([1.0, 2.0])).squared
    2.0
    """
    gram = gram_of(kernel, inputs)
    y = torch.as_tensor(values).detach().to(gram.matrix)
    if not y.dim() or gram.rows not in (len(y), y.numel()):
        raise BadUsage(
            "kernel and values are of different sizes", seen=f"{gram.rows} rows, values {list(y.shape)}"
        )
    if not bool(y.isfinite().all()):
        raise BadUsage("a value is not a finite number", seen=f"{int((~y.isfinite()).sum())} of them")
    eigenvalues, vectors = torch.linalg.eigh(gram.matrix)
    parts = (vectors.T @ y.reshape(gram.rows, -1)).square().sum(1)
    kept = eigenvalues > gram.tolerance
    whole = float(parts.sum())
    return Complexity(
        squared=float((parts[kept] / eigenvalues[kept]).sum()),
        outside=float(parts[~kept].sum()) / whole if whole else 0.0,
        rank=int(kept.sum()),
        samples=len(y),
    )
