"""Energy score of an ensemble of vectors: mean ‖x_i - y‖ - ½ mean ‖x_i - x_j‖, the CRPS of several dimensions.

Strictly proper for distributions with a finite mean; it judges the joint distribution, though it feels a wrong
correlation much less than a wrong mean or spread. Columns of different units should be standardised first. Standard
and fair estimators differ as in ``crps_ensemble``.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.crps_ensemble import spread_pairs
from losscope.losses.regression.elements import safe_root
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "EnergyScoreLoss", "energy_score_loss"]


def energy_score_loss(
    input: Tensor, target: Tensor, *, fair: bool = False, reduction: str = "mean"
) -> Tensor:
    """Energy score of the members ``input`` [N, M, D] for ``target`` [N, D], one value per sample.

    ``fair`` needs M ≥ 2. Distances that are 0 have gradient 0. Memory N·M²·D. Gneiting and Raftery 2007, eq. 22.

    >>> import torch
    >>> x = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    >>> energy_score_loss(x, torch.zeros(1, 2)).item()  # (3 + 4)/2 - 5/4
    2.25
    """
    same_shape(input[:, 0], target, ("one member of input", "target"))
    x, y = full_precision(input, target)
    members = x.shape[1]
    errors = x - y.to(x.dtype).unsqueeze(1)
    away = safe_root(errors.square().sum(-1)).mean(1)
    apart = safe_root((errors.unsqueeze(1) - errors.unsqueeze(2)).square().sum(-1))
    return reduce(away - 0.5 * apart.sum((1, 2)) / spread_pairs(members, fair), reduction)


EnergyScoreLoss = as_module(energy_score_loss, "EnergyScoreLoss")

SPEC = LossSpec(
    name="energy_score",
    title="energy score",
    family="regression",
    task="regression",
    formula=r"\tfrac1M\sum_i\|x_i-y\|_2-\tfrac1{2M^2}\sum_{i,j}\|x_i-x_j\|_2",
    input_space="samples",
    function=energy_score_loss,
    module=EnergyScoreLoss,
    arguments=(Argument("input", "values", "N M D"), Argument("target", "real")),
    variants=({"fair": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where all members equal the target",
    elicits="distribution",
    claims=(
        Claim("convex", holds=False, why="exchanging two members changes nothing, their mean does"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples",
    floor=zero_floor,
    references=("https://doi.org/10.1198/016214506000001437",),
)
