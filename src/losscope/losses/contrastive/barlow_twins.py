"""Barlow Twins: the cross-correlation matrix of two views should be the identity.

``Σᵢ (1 - Cᵢᵢ)² + λ Σ_{i≠j} Cᵢⱼ²`` over the D×D correlations of standardised columns. At **collapse** (constant
columns) every correlation is 0 and the value is **D**, the number of columns, as it nearly is for unrelated views of a
large batch: the value is a sum over columns, so 0.3 is small for D = 8192. Without ε a constant column, whose
deviations are rounding errors, would look perfectly correlated; ε is BatchNorm's 1e-5. Correlations are noisy where
N is not well above D: unrelated entries have variance 1/N, and add λ·D²/N.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import require_rows
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, product, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "BarlowTwinsLoss", "barlow_twins_loss"]


def barlow_twins_loss(
    input: Tensor, target: Tensor, *, off_diagonal: float = 0.005, epsilon: float = 1e-5
) -> Tensor:
    """Squared deviation of the cross-correlation of two views [N, D] from the identity, a scalar.

    ``off_diagonal`` is λ; ``epsilon`` is added to the variances. Zbontar et al., arXiv:2103.03230, eq. 1.

    >>> import torch
    >>> float(barlow_twins_loss(torch.ones(8, 3), torch.ones(8, 3)))  # collapse: the number of columns
    3.0
    """
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    n, d = input.shape
    if n == 0:
        return 0.0 * (input.sum() + target.sum())
    correlation = product(_standardised(input, epsilon).mT, _standardised(target, epsilon)) / n
    diagonal = torch.eye(d, dtype=torch.bool, device=input.device)
    squares = torch.where(diagonal, (1 - correlation).square(), off_diagonal * correlation.square())
    return squares.sum()


def _standardised(x: Tensor, epsilon: float) -> Tensor:
    deviation = x - x.mean(0)
    return deviation / (deviation.square().mean(0) + epsilon).sqrt()


BarlowTwinsLoss = as_module(barlow_twins_loss, "BarlowTwinsLoss")

SPEC = LossSpec(
    name="barlow_twins",
    title="Barlow Twins",
    family="contrastive",
    task="embedding",
    formula=r"\sum_i(1-C_{ii})^2+\lambda\sum_{i\ne j}C_{ij}^2",
    input_space="embeddings",
    function=barlow_twins_loss,
    module=BarlowTwinsLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"off_diagonal": 1.0},),
    range=(0.0, math.inf),
    attained="where both views have the same, uncorrelated columns",
    floor=zero_floor,
    claims=(
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
        Claim("scale-invariant", holds=False, why="ε in the variances; nearly so for ordinary scales"),
    ),
    batch_coupled=True,
    denominator="1: a sum over entries of the correlation matrix",
    references=("https://arxiv.org/abs/2103.03230",),
)
