"""Charbonnier (pseudo-Huber) loss: √(d² + ε²) - ε, a smooth absolute error.

Quadratic for |d| ≪ ε, absolute for |d| ≫ ε; convex. With ε = 1e-3 and without the constant -ε it is the usual loss of
image restoration, whose value at a perfect prediction is then ε and not 0: ``offset=False``.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import fitted_chance
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "CharbonnierLoss", "charbonnier_loss"]


def charbonnier_loss(
    input: Tensor, target: Tensor, *, eps: float = 1e-3, offset: bool = True, reduction: str = "mean"
) -> Tensor:
    """√(d² + ε²) - ε of d = input - target per element; ``offset=False`` leaves out -ε. The tensors have one shape.

    Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553.

    >>> import torch
    >>> float(charbonnier_loss(torch.tensor([3.0]), torch.tensor([0.0]), eps=4.0))
    1.0
    """
    d = difference(input, target)
    root = (d.square() + eps * eps).sqrt()
    return reduce(d.square() / (root + eps) if offset else root, reduction)


CharbonnierLoss = as_module(charbonnier_loss, "CharbonnierLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    eps = float(options.get("eps", 1e-3))
    base = eps if options.get("offset", True) else 0.0
    return fitted_chance(lambda d: np.sqrt(d * d + eps * eps) - base, stats)


SPEC = LossSpec(
    name="charbonnier",
    family="regression",
    task="regression",
    input_space="values",
    function=charbonnier_loss,
    module=CharbonnierLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    attained="where prediction and target agree",
    floor=lambda options, stats: 0.0 if options.get("offset", True) else float(options.get("eps", 1e-3)),
    title="Charbonnier loss",
    formula=r"\sqrt{(\hat y-y)^2+\varepsilon^2}-\varepsilon",
    range=(0.0, math.inf),
    elicits="location between median and mean, near the median for a small ε",
    variants=({"eps": 1.0}, {"reduction": "sum"}),
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (
        (input - target) / ((input - target).square() + options.get("eps", 1e-3) ** 2).sqrt()
    ),
    chance=_chance,
    references=("https://doi.org/10.1109/ICIP.1994.413553", "https://doi.org/10.1109/83.551699"),
)
