"""Gauss quadrature of the spectral measures of random vectors, by Lanczos with full reorthogonalisation.

For a unit vector v, vᵀf(A)v = ∫ f dμ where μ puts the mass (vᵀuᵢ)² on each eigenvalue λᵢ. k steps of Lanczos from v
give a tridiagonal T = SΘSᵀ, and Σ_j s_1j² f(θ_j) is the Gauss rule of μ: exact for polynomials of degree to 2k-1. The
weights are the **squares** of the first components of the eigenvectors of T; they sum to 1.

Probes are uniform on the sphere, so that E[vᵀf(A)v] = tr f(A) / n. Each has its own Lanczos process; the products of
all are made at once. Where a process ends early (an invariant subspace) its rule is exact.

Source: Golub and Welsch, Math. Comp. 23 (1969); Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017),
doi:10.1137/16M1104974, algorithm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.estimators.budget import Budget
from losscope.estimators.vectors import Probes, dots

_TINY = 64  # multiples of the rounding error below which a new direction is taken for none


@dataclass(frozen=True, slots=True, eq=False)
class Quadrature:
    """Rules of p probes in double precision: ``nodes`` ascending, ``weights`` and ``residuals`` ‖Ay - θy‖, all [p, k].

    ``coarse_nodes`` and ``coarse_weights`` are the rules after half the steps. Rules that are shorter are filled up
    with nodes of weight 0. ``rounding`` is the error of a node that comes from rounding; ``exact``: the nodes are the
    eigenvalues, each with weight 1/n.
    """

    nodes: Tensor
    weights: Tensor
    residuals: Tensor
    coarse_nodes: Tensor
    coarse_weights: Tensor
    rounding: float
    exact: bool = False

    def joined(self, other: "Quadrature") -> "Quadrature":
        """The rules of both."""
        names = ("nodes", "weights", "residuals", "coarse_nodes", "coarse_weights")
        tensors = [_stacked(getattr(self, name), getattr(other, name), "nodes" in name) for name in names]
        return Quadrature(*tensors, rounding=max(self.rounding, other.rounding))


def eigenvalue_rule(eigenvalues: Tensor, rounding: float) -> Quadrature:
    """The one rule that is exact."""
    nodes = eigenvalues[None, :]
    weights = torch.full_like(nodes, 1 / nodes.shape[1])
    error = _TINY * rounding * float(nodes.abs().max())
    return Quadrature(nodes, weights, torch.zeros_like(nodes), nodes, weights, error, exact=True)


def quadrature(budget: Budget, probes: Probes, count: int, steps: int) -> Iterator[tuple[Quadrature, bool]]:
    """Rules of ``count`` probes with ``steps`` nodes each, with True; as many probes as products suffice for, one at
    least.

    Where time or products run out on the way, rules of fewer nodes come, with False, and it may be gone on.
    Cost: count × steps products. Memory: count × steps vectors.
    """
    steps = min(steps, budget.op.size)
    count = max(1, min(count, budget.left // steps))
    vectors = probes.sphere(count) / budget.op.size**0.5
    basis = vectors.new_empty(count, steps, budget.op.size)
    diagonal = torch.zeros(count, steps, dtype=torch.float64)
    beside = torch.zeros(count, steps, dtype=torch.float64)
    length = torch.zeros(count, dtype=torch.int64)
    alive = torch.arange(count)
    for j in range(steps):
        basis[alive, j] = vectors.T
        image = budget.multiply(vectors)
        diagonal[alive, j] = dots(vectors, image)
        known = basis[:, : j + 1] if len(alive) == count else basis[alive, : j + 1]
        rest = image - vectors * diagonal[alive, j].to(image)
        if j:
            rest = rest - known[:, j - 1].T * beside[alive, j - 1].to(image)
        rest, beta = _orthogonal(rest, known)
        length[alive] = j + 1
        scale = torch.maximum(diagonal.abs().amax(1), beside.amax(1))[alive]
        more = beta > _TINY * budget.rounding * torch.maximum(scale, beta)
        if j + 1 == budget.op.size:
            more[:] = False
        beside[alive, j] = torch.where(more, beta, 0.0)
        if j + 1 == steps or not more.any():
            break
        if budget.late:
            yield _rules(budget, diagonal, beside, length), False
        kept = more.to(rest.device)
        vectors = rest[:, kept] / beta[more].to(rest)
        alive = alive[more]
    yield _rules(budget, diagonal, beside, length), True


def _rules(budget: Budget, diagonal: Tensor, beside: Tensor, length: Tensor) -> Quadrature:
    """The rules of tridiagonal matrices [count, steps] of which ``length`` [count] rows are known."""
    count = len(length)
    fine = [_rule(diagonal[i], beside[i], int(length[i])) for i in range(count)]
    coarse = [_coarse(diagonal[i], beside[i], int(length[i])) for i in range(count)]
    scale = max(float(nodes.abs().max()) for nodes, _, _ in fine)
    padded = [_padded([rule[part] for rule in fine], part == 0) for part in range(3)]
    halves = [_padded([rule[part] for rule in coarse], part == 0) for part in range(2)]
    return Quadrature(*padded, *halves, rounding=_TINY * budget.rounding * scale)


def _orthogonal(rest: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Columns [n, p] less their parts in the rows of ``known`` [p, k, n], and their lengths.

    A second time where that took half of a column or more: what is left is then rounding ("twice is enough": Parlett,
    *The Symmetric Eigenvalue Problem*, section 6.9).
    """
    length = dots(rest, rest).sqrt()
    for _ in range(2):
        before = length
        rest = rest - (known.mT @ (known @ rest.T[:, :, None]))[:, :, 0].T
        length = dots(rest, rest).sqrt()
        if bool((length > before / 2).all()):
            break
    return rest, length


def _coarse(diagonal: Tensor, beside: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """The rule of half the steps, with which the bias is judged; of all of them where the process ended by itself.

    Of one step nothing can be said: the rule has no weight, so that the bias is the whole value.
    """
    if beside[length - 1] == 0:
        return _rule(diagonal, beside, length)
    nodes, weights, residuals = _rule(diagonal, beside, max(1, length // 2))
    return nodes, weights if length > 1 else torch.zeros_like(weights), residuals


def _rule(diagonal: Tensor, beside: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes, weights and residuals of the leading tridiagonal matrix."""
    inner = beside[: length - 1]
    matrix = torch.diag(diagonal[:length])
    matrix.diagonal(1).copy_(inner)
    matrix.diagonal(-1).copy_(inner)
    nodes, vectors = torch.linalg.eigh(matrix)
    return nodes, vectors[0].square(), beside[length - 1] * vectors[-1].abs()


def _padded(rows: list[Tensor], nodes: bool) -> Tensor:
    """Rows of unequal length as one tensor; what is missing has weight 0 at the largest node."""
    longest = max(len(row) for row in rows)
    return torch.stack(
        [
            torch.cat([row, row.new_full((longest - len(row),), float(row[-1]) if nodes else 0.0)])
            for row in rows
        ]
    )


def _stacked(one: Tensor, other: Tensor, nodes: bool) -> Tensor:
    return _padded([*one, *other], nodes)
