"""Continuous ranked probability score of an ensemble of M forecasts: mean |x_i - y| - ½ mean |x_i - x_j|.

The first term asks for accuracy, the second for spread: without it all members collapse onto the median. The standard
estimator divides the double sum by M² and is the exact CRPS of the ensemble's own step distribution; as a loss it
makes small ensembles too narrow, because i = j counts as a pair. The fair estimator divides by M(M - 1): its
expectation is the CRPS of the distribution that the members were drawn from. One member, standard: the absolute
error.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CRPSEnsembleLoss", "crps_ensemble_loss"]


def crps_ensemble_loss(
    input: Tensor, target: Tensor, *, fair: bool = False, reduction: str = "mean"
) -> Tensor:
    """CRPS of the members ``input`` [..., M] for ``target`` [...], one value per target; O(M log M).

    ``fair`` needs M ≥ 2. Ferro 2014, doi:10.1002/qj.2270; the sorted form of the double sum is from Hersbach 2000.

    >>> crps_ensemble_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0])).item()  # 1 - ½ · (0 + 2 + 2 + 0)/4
    0.5
    >>> crps_ensemble_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]), fair=True).item()
    0.0
    """
    same_shape(input[..., 0], target, ("one member of input", "target"))
    x, y = full_precision(input, target)
    members = x.shape[-1]
    errors = x - y.to(x.dtype).unsqueeze(-1)
    rank = torch.arange(members, device=x.device, dtype=x.dtype)
    gaps = ((2 * rank - members + 1) * errors.sort(-1).values).sum(-1)  # Σ |x_i - x_j| over pairs i < j
    return reduce(errors.abs().mean(-1) - gaps / spread_pairs(members, fair), reduction)


def spread_pairs(members: int, fair: bool) -> int:
    """By what the sum over pairs i < j is divided: M², or M(M - 1) for the fair estimator."""
    if members < 1 + fair:
        raise BadUsage(
            "the fair estimator compares pairs of members", seen=f"{members} members", remedy="fair=False"
        )
    return members * (members - 1) if fair else members * members


CRPSEnsembleLoss = as_module(crps_ensemble_loss, "CRPSEnsembleLoss")

SPEC = LossSpec(
    name="crps_ensemble",
    title="continuous ranked probability score of an ensemble",
    family="regression",
    task="regression",
    formula=r"\tfrac1M\sum_i|x_i-y|-\tfrac1{2M^2}\sum_{i,j}|x_i-x_j|",
    input_space="samples",
    function=crps_ensemble_loss,
    module=CRPSEnsembleLoss,
    arguments=(Argument("input", "values", "N D M"), Argument("target", "real")),
    variants=({"fair": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where all members equal the target",
    elicits="distribution",
    claims=(
        Claim("convex", holds=False, why="exchanging two members changes nothing, their mean does"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of targets",
    exceptions={
        "floor": "a search stops at the kinks where members coincide; the floor is where all equal the target"
    },
    floor=zero_floor,
    references=(
        "https://doi.org/10.1002/qj.2270",
        "https://doi.org/10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2",
    ),
)
