"""Energy distance of two samples: 2 mean ‖x - y‖ - mean ‖x - x'‖ - mean ‖y - y'‖.

0 only for equal distributions (with finite means), and without a bandwidth to choose: it is the maximum mean
discrepancy with the kernel -‖x - y‖. In one dimension it is 2 ∫ (F - G)². All pairs count, i = j too, so it is ≥ 0
and, for equal distributions, biased upwards by about E‖x - x'‖ (1/N + 1/M).
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.distribution.distances import distances, pair_of_samples
from losscope.losses.module import as_module
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "EnergyDistanceLoss", "energy_distance_loss"]


def energy_distance_loss(input: Tensor, target: Tensor) -> Tensor:
    """Energy distance of ``input`` [N, D] and ``target`` [M, D]; one number. Memory N·M·D.

    Distances that are 0 have gradient 0. Székely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018, eq. 6.

    >>> import torch
    >>> energy_distance_loss(torch.zeros(2, 1), torch.full((3, 1), 5.0)).item()
    10.0
    """
    x, y = pair_of_samples(input, target)
    return 2 * distances(x, y).mean() - distances(x, x).mean() - distances(y, y).mean()


EnergyDistanceLoss = as_module(energy_distance_loss, "EnergyDistanceLoss")

SPEC = LossSpec(
    name="energy_distance",
    title="energy distance",
    family="distribution",
    task="distribution",
    formula=r"\tfrac2{NM}\sum\|x_i-y_j\|-\tfrac1{N^2}\sum\|x_i-x_j\|-\tfrac1{M^2}\sum\|y_i-y_j\|",
    input_space="samples",
    function=energy_distance_loss,
    module=EnergyDistanceLoss,
    arguments=(Argument("input", "samples"), Argument("target", "reference-samples")),
    range=(0.0, math.inf),
    attained="where both samples have the same points in the same proportions",
    elicits="distribution",
    claims=(Claim("convex", holds=False), Claim("symmetric"), Claim("permutation-equivariant")),
    batch_coupled=True,
    exceptions={"empty-batch": "a sample without points has no distribution: it is refused"},
    denominator="numbers of pairs",
    references=("https://doi.org/10.1016/j.jspi.2013.03.018",),
)
