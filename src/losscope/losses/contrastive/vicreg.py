"""VICReg: invariance of two views, a floor under the variance of every column, and no covariance between columns.

``λ·mean‖a - b‖² + μ·½Σ_views mean_j max(0, 1 - √(Var_j + ε)) + ν·Σ_views Σ_{i≠j} Cov_ij² / D``. At **collapse** only
the variance part remains: **μ(1 - √ε)**, 24.75 with the defaults μ = 25, ε = 1e-4. A value near that is collapse; the
invariance part alone is 0 there. Variances and covariances are divided by N - 1.
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

__all__ = ["SPEC", "VICRegLoss", "vicreg_loss"]


def vicreg_loss(
    input: Tensor,
    target: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    epsilon: float = 1e-4,
) -> Tensor:
    """Invariance, variance and covariance parts for two views ``input`` and ``target`` [N, D], a scalar.

    Bardes, Ponce, LeCun, arXiv:2105.04906, eq. 6, with the averages of the authors' code.

    >>> import torch
    >>> round(float(vicreg_loss(torch.ones(8, 3), torch.ones(8, 3))), 4)  # collapse: 25 (1 - 0.01)
    24.75
    """
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    if input.numel() == 0:
        return 0.0 * (input.sum() + target.sum())
    parts = invariance * (input - target).square().mean()
    for view in (input, target):
        deviation = view - view.mean(0)
        matrix = product(deviation.mT, deviation) / max(1, len(view) - 1)
        diagonal = torch.eye(view.shape[1], dtype=torch.bool, device=view.device)
        spread = (1 - (matrix.diagonal() + epsilon).sqrt()).relu().mean()
        shared = torch.where(diagonal, 0.0, matrix).square().sum() / view.shape[1]
        parts = parts + 0.5 * variance * spread + covariance * shared
    return parts


VICRegLoss = as_module(vicreg_loss, "VICRegLoss")

SPEC = LossSpec(
    name="vicreg",
    title="VICReg",
    family="contrastive",
    task="embedding",
    formula=r"\lambda\,\overline{\|a-b\|^2}+\tfrac\mu2\sum_{v}\overline{\max(0,1-\sigma_v)}"
    r"+\tfrac\nu D\sum_v\sum_{i\ne j}\mathrm{Cov}_v^2",
    input_space="embeddings",
    function=vicreg_loss,
    module=VICRegLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"covariance": 0.0},),
    range=(0.0, math.inf),
    attained="where the views agree and their columns are uncorrelated with variance 1 or more",
    floor=zero_floor,
    claims=(Claim("symmetric"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of elements, of columns, and of columns, by part",
    references=("https://arxiv.org/abs/2105.04906",),
)
