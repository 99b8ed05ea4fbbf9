"""Interval (Winkler) score of a predicted interval [l, u]: its width, plus 2/α times how far the target lies outside.

It elicits the α/2- and the (1 - α/2)-quantile, the central interval of coverage 1 - α: it is 2/α times the sum of the
two pinball losses. Ends that have crossed (l > u) are not refused; they always cost more than uncrossed ones. The
unit is the target's, so that it is comparable between models but not between data sets.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "IntervalScoreLoss", "interval_score_loss"]


def interval_score_loss(
    lower: Tensor, upper: Tensor, target: Tensor, *, alpha: float = 0.1, reduction: str = "mean"
) -> Tensor:
    """u - l + 2/α (l - y)₊ + 2/α (y - u)₊ per element; the three tensors have one shape, ``alpha`` lies in (0, 1).

    Gneiting and Raftery 2007, eq. 43.

    >>> import torch
    >>> l, u, y = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.5, 2.0])
    >>> interval_score_loss(l, u, y, alpha=0.5, reduction="none").tolist()
    [1.0, 5.0]
    """
    if not 0 < alpha < 1:
        raise BadUsage(
            "alpha is one minus the coverage, between 0 and 1", seen=str(alpha), remedy="alpha=0.1"
        )
    below = difference(lower, target)
    above = -difference(upper, target)
    return reduce(-above - below + 2 / alpha * (below.relu() + above.relu()), reduction)


IntervalScoreLoss = as_module(interval_score_loss, "IntervalScoreLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """The best constants are the two quantiles, column by column."""
    rows, alpha = stats.sample.rows, float(options.get("alpha", 0.1))
    if len(rows) == 0:
        return None
    lower, upper = np.quantile(rows, [alpha / 2, 1 - alpha / 2], axis=0, method="inverted_cdf")
    outside = np.maximum(lower - rows, 0) + np.maximum(rows - upper, 0)
    losses = (upper - lower + 2 / alpha * outside).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


SPEC = LossSpec(
    name="interval_score",
    title="interval score",
    also=("Winkler score",),
    family="regression",
    task="regression",
    formula=r"(u-l)+\tfrac2\alpha(l-y)_++\tfrac2\alpha(y-u)_+",
    input_space="values",
    function=interval_score_loss,
    module=IntervalScoreLoss,
    arguments=(Argument("lower", "values"), Argument("upper", "values"), Argument("target", "real")),
    variants=({"alpha": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where both ends equal the target",
    elicits="quantiles α/2 and 1 - α/2",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    chance=_chance,
    floor=zero_floor,
    exceptions={
        "floor": "a search by gradients stops at the kinks, long before all of them meet at the target"
    },
    references=("https://doi.org/10.1198/016214506000001437", "https://doi.org/10.2307/2284720"),
)
