"""Sliced Wasserstein distance: the mean over directions of the 1-D distance W_p^p of the projected samples.

In one dimension the optimal transport matches sorted points, so each direction costs a sort; samples of different
sizes are matched by their quantile functions, exactly. It is 0 for equal samples, a lower bound of W_p^p, and in D
dimensions, for p = 2 and shifted copies, 1/D of it. By default the directions are the same in every call (drawn once
from a fixed sequence): the loss is a deterministic function, but blind to differences that those directions miss. Give
fresh unit vectors as ``directions`` in every step for the stochastic version. Projections of high-dimensional data
look alike: the gradient fades with D.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.distribution.distances import pair_of_samples
from losscope.losses.module import as_module
from losscope.losses.reduction import product
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "SlicedWassersteinLoss", "sliced_wasserstein_loss"]


def sliced_wasserstein_loss(
    input: Tensor, target: Tensor, *, p: float = 2.0, directions: int | Tensor = 64
) -> Tensor:
    """Sliced W_p^p (without the root) of ``input`` [N, D] and ``target`` [M, D]; one number.

    ``directions`` are unit vectors [K, D], or how many to draw from a fixed seed; in one dimension one is enough.
    Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3.

    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]])
    >>> sliced_wasserstein_loss(x, y).item()
    4.0
    """
    x, y = pair_of_samples(input, target, 1)
    columns = x.shape[1]
    lines = directions if isinstance(directions, Tensor) else _directions(directions, columns)
    lines = lines.to(x).mT
    first, second = product(x, lines).sort(0).values, product(y, lines).sort(0).values
    rows, others, masses = _matching(len(x), len(y))
    gaps = first[rows] - second[others]
    cost = gaps.square() if p == 2 else gaps.abs() if p == 1 else gaps.abs() ** p
    return (cost * x.new_tensor(masses).unsqueeze(1)).sum(0).mean()


SlicedWassersteinLoss = as_module(sliced_wasserstein_loss, "SlicedWassersteinLoss")


def _directions(count: int, columns: int) -> Tensor:
    """Unit vectors [count, columns], the same ones for the same numbers: normal deviates of a Kronecker sequence.

    Coordinate k of point i is the normal quantile of frac((i + 1) a_k), with a_k the square roots of
    primes, which are independent over the rationals.
    """
    if columns == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    steps = torch.arange(1, count + 1, dtype=torch.float64)
    slopes = torch.tensor(_primes(columns), dtype=torch.float64).sqrt()
    uniform = torch.outer(steps, slopes).frac().clamp(1e-6, 1 - 1e-6)
    drawn = torch.erfinv(2 * uniform - 1)
    return drawn / drawn.norm(dim=1, keepdim=True)


def _primes(count: int) -> list[int]:
    """The first primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def _matching(n: int, m: int) -> tuple[list[int], list[int], list[float]]:
    """Which sorted points of two samples face each other, and how much mass each pair carries."""
    ends = sorted({k * m for k in range(n + 1)} | {k * n for k in range(m + 1)})  # in units of 1/(nm)
    starts = ends[:-1]
    masses = [(b - a) / (n * m) for a, b in zip(starts, ends[1:], strict=True)]
    return [a // m for a in starts], [a // n for a in starts], masses


SPEC = LossSpec(
    name="sliced_wasserstein",
    title="sliced Wasserstein distance",
    family="distribution",
    task="distribution",
    formula=r"\tfrac1K\sum_k W_p^p\left(\theta_k^\top x,\ \theta_k^\top y\right)",
    input_space="samples",
    function=sliced_wasserstein_loss,
    module=SlicedWassersteinLoss,
    arguments=(Argument("input", "samples"), Argument("target", "reference-samples")),
    variants=({"p": 1.0}, {"directions": 5}),
    range=(0.0, math.inf),
    attained="where both samples have the same points in the same proportions",
    elicits="distribution",
    claims=(Claim("convex", holds=False), Claim("symmetric"), Claim("permutation-equivariant")),
    batch_coupled=True,
    exceptions={"empty-batch": "a sample without points has no distribution: it is refused"},
    denominator="number of directions; points count by their mass",
    references=("https://doi.org/10.1007/s10851-014-0506-3",),
)
