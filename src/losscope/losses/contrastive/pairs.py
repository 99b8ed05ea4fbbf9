"""Lengths, angles and pairs of embeddings, safe at the zero vector, at equal points and in empty batches."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.reduction import product
from losscope.losses.spec import Options
from losscope.losses.target_stats import TargetStats


def norm(x: Tensor) -> Tensor:
    """Euclidean length along the last axis; at 0 its first and second derivatives are 0, not NaN.

    >>> float(norm(torch.tensor([3.0, 4.0])))
    5.0
    """
    squared = (x * x).sum(-1)
    zero = squared == 0
    return squared.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)


def unit(x: Tensor) -> Tensor:
    """``x`` divided by its length; the zero vector stays 0. Exact at every scale, since x/‖x‖ does not have one."""
    if x.shape[-1] == 0:
        return x
    largest = x.detach().abs().amax(-1, keepdim=True)
    x = x / largest.masked_fill(largest == 0, 1.0)
    length = norm(x).unsqueeze(-1)
    return x / length.masked_fill(length == 0, 1.0)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of every row of ``a`` [N, D] with every row of ``b`` [M, D]: [N, M]."""
    return product(unit(a), unit(b).mT)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances [N, M] by differences: exact for near points and twice differentiable, unlike ``cdist``."""
    return norm(a[:, None, :] - b[None, :, :])


def partners(groups: Tensor) -> tuple[Tensor, Tensor]:
    """For labels [N]: the pairs [N, N] of one group without the diagonal, and the pairs of two groups."""
    same = groups[:, None] == groups[None, :]
    return same & ~torch.eye(len(groups), dtype=torch.bool, device=groups.device), ~same


def softplus_of_logsumexp(x: Tensor, mask: Tensor) -> Tensor:
    """ln(1 + Σ eˣ) over the last axis where ``mask``; 0 where it is empty."""
    zero = x.new_zeros((*x.shape[:-1], 1))
    return torch.cat([x.masked_fill(~mask, -math.inf), zero], -1).logsumexp(-1)


def require_rows(embeddings: Tensor, labels: Tensor | None = None, name: str = "input") -> None:
    """Refuse embeddings that are not [N, D], and labels that are not [N]."""
    if embeddings.dim() != 2:
        raise BadUsage(
            f"{name} must be embeddings [N, D]",
            seen=str(tuple(embeddings.shape)),
            remedy="flatten further axes into N or D",
        )
    if labels is not None and labels.shape != embeddings.shape[:1]:
        raise BadUsage(
            "there must be one label per embedding",
            seen=f"{tuple(labels.shape)} for {tuple(embeddings.shape)}",
            remedy="labels have the shape [N]",
        )


def chance_among(candidates: Callable[[float], float]) -> Callable[[TargetStats, Options], Estimate | None]:
    """Chance level ln of the number of candidates for a batch of N, which ``options`` name ``candidates`` = N."""

    def chance(stats: TargetStats, options: Options) -> Estimate | None:
        n = float(options.get("candidates", 0) or (stats.batch_rows / stats.updates if stats.updates else 0))
        return Estimate(math.log(candidates(n))) if candidates(n) >= 1 else None

    return chance


def log_candidates(options: Options) -> float | None:
    """ln N, what scores that do not tell the N candidates apart cost."""
    candidates = options.get("candidates", 0)
    return math.log(candidates) if candidates > 1 else None


def simplex_floor(options: Options, stats: TargetStats | None) -> float | None:
    """ln(1 + (N-1) exp(-N/((N-1)τ))): no N unit vectors lie further apart than the corners of a simplex."""
    n = float(
        options.get("candidates", 0) or (stats.batch_rows / stats.updates if stats and stats.updates else 0)
    )
    temperature = options.get("temperature")
    if n < 2 or not isinstance(temperature, float):
        return None
    return math.log1p((n - 1) * math.exp(-n / ((n - 1) * temperature)))
