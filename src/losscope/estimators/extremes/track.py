"""Extreme eigenvalues that are followed from one training step to the next, for k products a measurement.

Rayleigh–Ritz on the span Q of vectors that are known from the step before: the k × k matrix QᵀAQ has the Ritz values,
with residuals ‖Ay - θy‖ that need no further product (Parlett, *The Symmetric Eigenvalue Problem*, chapter 11). Errors
of the values are of second order in those of the vectors. The images AQ are at hand, so that their span, one step of
subspace iteration, is where the next measurement begins: the vectors follow the operator without a product of their
own (Saad, *Numerical Methods for Large Eigenvalue Problems*, chapter 5).

An eigenvalue that grows out of the rest is seen late, as its vector has to enter by these steps alone: a search by
``eigsh`` now and then finds it.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.estimators.extremes.lanczos import Eigenpairs
from losscope.objective.precision import without_autocast
from losscope.operators.operator import LinearOperator

__all__ = ["TrackedPairs", "track"]


@dataclass(frozen=True, slots=True, eq=False)
class TrackedPairs(Eigenpairs):
    """Ritz pairs with their ``images`` A y [n, k]."""

    images: Tensor = field(repr=False)


@without_autocast()
def track(op: LinearOperator, known: Eigenpairs, *, rtol: float = 1e-2) -> TrackedPairs:
    """The eigenpairs of ``op`` next to those ``known`` of an operator like it, in their order.

    ``known`` is what :func:`eigsh` or :func:`track` found a few steps of training ago. Cost: k products, 4 n k²
    multiplications. ``converged`` says whether every bound is below ``rtol`` times the largest value; where it is not,
    search again. Raises ``BadUsage`` for vectors of another length, or where a product is not finite.

    >>> import torch
    >>> from losscope.estimators.extremes.lanczos import eigsh
    >>> from losscope.operators.dense import Dense
    >>> values = torch.arange(50.0, dtype=torch.float64)
    >>> found = eigsh(Dense(torch.diag(values)), 2, rtol=1e-8)
    >>> moved = track(Dense(torch.diag(values) + 0.01 * torch.ones(50, 50)), found)
    >>> [round(v, 2) for v in moved.values], moved.products, moved.converged
    ([49.01, 48.01], 2, True)
    """
    began = time.perf_counter()
    start = known.images if isinstance(known, TrackedPairs) else known.vectors
    if start.shape[0] != op.size:
        raise BadUsage(
            f"vectors of an operator of size {start.shape[0]} say nothing of one of size {op.size}",
            seen=f"{start.shape[0]} and {op.size}",
        )
    working = torch.promote_types(op.dtype, torch.float32)  # half precision has no factorisations
    basis = torch.linalg.qr(start.to(dtype=working, device=op.device))[0]
    image = (op @ basis).to(working)
    projected = (basis.T @ image).double().cpu().numpy()
    if not np.isfinite(projected).all():
        raise BadUsage("a product with the operator is not finite", seen="nan or inf")
    values, turn = np.linalg.eigh((projected + projected.T) / 2)
    order = _like(known.values, values)
    values, coordinates = values[order], torch.as_tensor(turn[:, order]).to(basis)
    vectors, images = basis @ coordinates, image @ coordinates
    residuals = (images - vectors * torch.as_tensor(values).to(vectors)).norm(dim=0).double().cpu().numpy()
    bounds = np.maximum(residuals, torch.finfo(op.precision).eps * abs(values).max())
    return TrackedPairs(
        values=tuple(values.tolist()),
        bounds=tuple(bounds.tolist()),
        residuals=tuple(residuals.tolist()),
        vectors=vectors,
        products=basis.shape[1],
        seconds=time.perf_counter() - began,
        converged=bool(bounds.max() <= rtol * abs(values).max()),
        images=images,
    )


def _like(before: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """The order of values that the known ones had: falling, rising, or falling in absolute value."""
    known = np.asarray(before)
    if (np.diff(known) <= 0).all():
        return np.argsort(-values)
    if (np.diff(known) >= 0).all():
        return np.argsort(values)
    return np.argsort(-np.abs(values))
