"""How alike two kernels are, or a kernel and the targets: cosines between matrices.

A(K, K') = ⟨K, K'⟩_F / ‖K‖‖K'‖ (Cristianini et al., 2001), with both centred in feature space, K ↦ H K H with
H = I - 11ᵀ/n, unless told otherwise (Cortes, Mohri and Rostamizadeh, 2012, arXiv:1203.0550): without centring all
kernels with positive entries look alike.
"""

from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.machines.gram import symmetric

__all__ = ["alignment", "target_alignment"]


def alignment(one: Tensor, other: Tensor, *, centred: bool = True) -> float:
    """The cosine of two Gram matrices [n, n] of the same inputs, from 0 to 1 for positive semi-definite ones.

    >>> alignment(torch.eye(4), torch.ones(4, 4), centred=False)
    0.5
    """
    rounding = torch.finfo(torch.float32).eps
    a, b = symmetric(one, rounding), symmetric(other, rounding)
    if a.shape != b.shape:
        raise BadUsage("two kernels are compared on the same inputs", seen=f"{len(a)} and {len(b)} of them")
    if centred:
        a, b = _centred(a), _centred(b)
    size = float(a.norm() * b.norm())
    if size == 0:
        raise BadUsage(
            "the alignment of a kernel that is zero is not defined",
            seen="centred, it is constant" if centred else "all entries are zero",
        )
    return float((a * b).sum()) / size


def target_alignment(kernel: Tensor, targets: Any, *, centred: bool = True) -> float:
    """The alignment with the ideal kernel Y Yᵀ: of targets [n] or [n, C], one-hot for classes (integers).

    >>> target_alignment(torch.eye(2), torch.tensor([1.0, -1.0]))
    1.0
    """
    y = torch.as_tensor(targets).detach()
    if not y.is_floating_point():
        y = torch.nn.functional.one_hot(y.long() - int(y.min()))
    y = y.double().reshape(len(y), -1)
    return alignment(kernel, (y @ y.T).to(kernel.device), centred=centred)


def _centred(matrix: Tensor) -> Tensor:
    mean = matrix.mean(0, keepdim=True)
    return matrix - mean - mean.T + mean.mean()
