"""Random test vectors, and inner products that are summed in double precision."""

import torch
from torch import Tensor

from losscope.operators.operator import LinearOperator

_ROWS = 1 << 12  # of a partial sum in the vectors' own precision
_WHOLE = 1 << 22  # numbers of which a double copy is made at once


class Probes:
    """Random vectors with E[x xᵀ] = I, one after the other: the same for a seed, however they are blocked.

    They are drawn on the CPU, so that devices agree.
    """

    def __init__(self, op: LinearOperator, seed: int) -> None:
        self._size, self._device = op.size, op.device
        self._dtype = torch.float64 if op.dtype == torch.float64 else torch.float32
        self._random = torch.Generator(device="cpu").manual_seed(seed)

    def signs(self, count: int) -> Tensor:
        """[n, count] independent signs (Rademacher): of such vectors xᵀAx varies least, by 2 Σ_{i≠j} a_ij²."""
        drawn = torch.empty(count, self._size, dtype=torch.int8)
        for row in drawn:
            row.random_(0, 2, generator=self._random)
        return (2 * drawn - 1).T.to(self._device, self._dtype).contiguous()

    def sphere(self, count: int) -> Tensor:
        """[n, count] uniform on the sphere of radius √n: no direction is preferred or missed."""
        drawn = torch.empty(count, self._size, dtype=self._dtype)
        for row in drawn:
            row.normal_(generator=self._random)
        drawn *= self._size**0.5 / drawn.norm(dim=1, keepdim=True)
        return drawn.T.to(self._device).contiguous()


def gram(left: Tensor, right: Tensor) -> Tensor:
    """leftᵀ right [k, l] on the CPU, of [n, k] and [n, l]; partial sums are added up in double precision."""
    total = torch.zeros(left.shape[1], right.shape[1], dtype=torch.float64, device=left.device)
    for i in range(0, len(left), _ROWS):
        total += left[i : i + _ROWS].T @ right[i : i + _ROWS]
    return total.cpu()


def dots(left: Tensor, right: Tensor) -> Tensor:
    """The inner products of corresponding columns, [k], in double precision on the CPU."""
    if left.numel() <= _WHOLE:
        return (left.double() * right.double()).sum(0).cpu()
    columns = [torch.dot(left[:, i].double(), right[:, i].double()) for i in range(left.shape[1])]
    return torch.stack(columns).cpu()


def without(basis: Tensor, vectors: Tensor, passes: int = 2) -> tuple[Tensor, Tensor]:
    """Vectors less their parts in an orthonormal basis [n, m], and those parts [m, k]; twice is enough."""
    total = torch.zeros(basis.shape[1], vectors.shape[1], dtype=torch.float64)
    for _ in range(passes):
        overlap = gram(basis, vectors)
        vectors = vectors - basis @ overlap.to(basis)
        total += overlap
    return vectors, total
