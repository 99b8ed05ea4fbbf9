"""Mean pinball loss of several quantiles that one network predicts together.

Each output is judged by ``quantile`` at its own level. With levels (k - ½)/K, twice the mean over them tends to the
CRPS. Nothing keeps the outputs in order: sort them afterwards (which never makes the loss worse), or let the network
predict positive increments.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.regression.quantile import pinball
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "MultiQuantileLoss", "multi_quantile_loss"]


def multi_quantile_loss(
    input: Tensor,
    target: Tensor,
    *,
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
    reduction: str = "mean",
) -> Tensor:
    """Pinball losses of ``input`` [..., Q] for ``target`` [...] at Q levels; "none" gives [..., Q].

    The mean is over targets and levels. Koenker and Bassett 1978; several levels as in arXiv:1711.11053.

    >>> import torch
    >>> multi_quantile_loss(torch.zeros(1, 3), torch.tensor([10.0]), reduction="none").tolist()
    [[1.0, 5.0, 9.0]]
    """
    if input.shape[-1:] != (len(quantiles),) or not all(0 < q < 1 for q in quantiles):
        raise BadUsage(
            "the last axis of input holds one output per quantile, each between 0 and 1",
            seen=f"input {tuple(input.shape)} and quantiles {tuple(quantiles)}",
            remedy="give the quantiles that the network predicts",
        )
    same_shape(input[..., 0], target, ("one quantile of input", "target"))
    x, y = full_precision(input, target)
    d = x - y.to(x.dtype).unsqueeze(-1)
    return reduce(pinball(d, x.new_tensor(quantiles)), reduction)


MultiQuantileLoss = as_module(multi_quantile_loss, "MultiQuantileLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Of each level its own best constant, the quantile; the mean over the levels."""
    levels = options.get("quantiles", (0.1, 0.5, 0.9))
    fits = [fitted_chance(lambda d, q=q: np.maximum(q * d, (q - 1) * d), stats) for q in levels]
    known = [fit for fit in fits if fit is not None]
    if not known:
        return None
    # Of the same targets: the errors go together.
    return Estimate(
        sum(fit.value for fit in known) / len(known), sum(fit.stderr for fit in known) / len(known)
    )


SPEC = LossSpec(
    name="multi_quantile",
    title="mean pinball loss of several quantiles",
    family="regression",
    task="regression",
    formula=r"\tfrac1Q\sum_k\max(q_k d_k,(q_k-1)d_k),\quad d_k=y-\hat y_k",
    input_space="values",
    function=multi_quantile_loss,
    module=MultiQuantileLoss,
    arguments=(Argument("input", "values", "N D M"), Argument("target", "real")),
    sizes={"M": 3},
    variants=({"quantiles": (0.25, 0.5, 0.75)}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where all outputs equal the target",
    elicits="quantiles",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    denominator="number of targets times number of quantiles",
    chance=_chance,
    floor=zero_floor,
    exceptions={
        "floor": "a search by gradients stops at the kinks, long before all of them meet at the target"
    },
    references=("https://doi.org/10.2307/1913643", "https://arxiv.org/abs/1711.11053"),
)
