"""Root mean squared logarithmic error √(mean (ln(1 + ŷ) - ln(1 + y))²) over the batch.

``msle`` under a root, with the traps of both: it elicits a shifted geometric mean and not the mean, it needs
predictions above -1, and it couples the samples of a batch, so a mean over batches is not the value over all data.
For ratios near 1 it is about the relative error.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.regression.elements import safe_root
from losscope.losses.regression.location import zero_floor
from losscope.losses.regression.msle import log_variance_chance, msle_loss
from losscope.losses.regression.rmse import root_of
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "RMSLELoss", "rmsle_loss"]


def rmsle_loss(input: Tensor, target: Tensor) -> Tensor:
    """√ of the mean squared difference of ln(1 + ·) over all elements; one number. The gradient at 0 is 0.

    >>> import torch
    >>> round(float(rmsle_loss(torch.tensor([0.0]), torch.tensor([math.e**3 - 1]))), 4)
    3.0
    """
    return safe_root(msle_loss(input, target))


RMSLELoss = as_module(rmsle_loss, "RMSLELoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    return root_of(log_variance_chance(stats, options))


SPEC = LossSpec(
    name="rmsle",
    title="root mean squared logarithmic error",
    family="regression",
    task="regression",
    formula=r"\sqrt{\tfrac1n\sum_i\left(\ln(1+\hat y_i)-\ln(1+y_i)\right)^2}",
    input_space="values",
    function=rmsle_loss,
    module=RMSLELoss,
    arguments=(Argument("input", "positive-values"), Argument("target", "positive")),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="shifted geometric mean exp(E ln(1 + Y)) - 1",
    claims=(Claim("convex", holds=False), Claim("symmetric"), Claim("permutation-equivariant")),
    batch_coupled=True,
    denominator="number of elements, under the root",
    chance=_chance,
    floor=zero_floor,
    references=("https://scikit-learn.org/stable/modules/model_evaluation.html#mean-squared-log-error",),
)
