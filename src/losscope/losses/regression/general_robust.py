"""Barron's general robust loss: one shape α from the squared error to losses that ignore outliers.

ρ(d; α, c) = |α - 2|/α · ((x/|α - 2| + 1)^(α/2) - 1) with x = (d/c)². α = 2: ½x (squared error); 1: √(x + 1) - 1
(Charbonnier); 0: ln(½x + 1) (Cauchy); -2: 2x/(x + 4) (Geman-McClure); -∞: 1 - exp(-½x) (Welsch). The formula is 0/0
at α = 0 and α = 2; here all α give full precision and finite derivatives. α may be a tensor, also one that is learnt;
but minimising ρ alone over α always drives it to -∞: learning it needs the normalising constant ln Z(α) of the
paper's "adaptive" negative log-likelihood, which this loss leaves out.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "GeneralRobustLoss", "general_robust_loss"]


def general_robust_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float | Tensor = 1.0,
    c: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """ρ(input - target; α, c) per element. ``alpha`` is a number (±inf allowed) or a tensor that broadcasts.

    ``input`` and ``target`` have one shape. Barron 2019, arXiv:1701.03077, eq. 13.

    >>> zero, two = torch.zeros(1), torch.full((1,), 2.0)
    >>> [round(float(general_robust_loss(two, zero, alpha=a)), 4) for a in (2.0, 0.0, -2.0, -math.inf)]
    [2.0, 1.0986, 1.0, 0.8647]
    """
    require_positive(c=c)
    x = (difference(input, target) / c).square()
    shape = torch.as_tensor(alpha, dtype=x.dtype, device=x.device)
    endless, quadratic = shape.isinf(), shape == 2
    a = torch.where(endless | quadratic, 1.0, shape)
    # |a - 2|/a · (e^u - 1) with u = a/2 · ln(1 + x/|a - 2|) is ½ |a - 2| ln(1 + x/|a - 2|) · (e^u - 1)/u.
    b = (a - 2).abs().clamp(min=torch.finfo(x.dtype).eps)
    log = (x / b).log1p()
    losses = 0.5 * b * log * _expm1_over(0.5 * a * log)
    losses = torch.where(quadratic, 0.5 * x, losses)
    limit = torch.sign(shape)
    extreme = limit * torch.expm1(0.5 * limit * torch.where(endless, x, 0.0))
    return reduce(torch.where(endless, extreme, losses), reduction)


def _expm1_over(u: Tensor) -> Tensor:
    """(e^u - 1)/u, smooth through u = 0."""
    small = u.abs() < 1e-3
    safe = torch.where(small, 1.0, u)
    return torch.where(small, 1 + u / 2 * (1 + u / 3 * (1 + u / 4)), torch.expm1(safe) / safe)


GeneralRobustLoss = as_module(general_robust_loss, "GeneralRobustLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    alpha, c = options.get("alpha", 1.0), float(options.get("c", 1.0))
    if not isinstance(alpha, int | float):
        return None

    def rho(d: np.ndarray) -> np.ndarray:
        x = torch.as_tensor(d)
        return general_robust_loss(x, torch.zeros_like(x), alpha=alpha, c=c, reduction="none").numpy()

    return fitted_chance(rho, stats, convex=False)


SPEC = LossSpec(
    name="general_robust",
    family="regression",
    task="regression",
    input_space="values",
    function=general_robust_loss,
    module=GeneralRobustLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    attained="where prediction and target agree",
    chance=_chance,
    floor=zero_floor,
    title="general robust loss",
    formula=r"\tfrac{|\alpha-2|}{\alpha}\left(\left(\tfrac{(d/c)^2}{|\alpha-2|}+1\right)^{\alpha/2}-1\right),"
    r"\quad d=\hat y-y",
    range=(0.0, math.inf),
    elicits="location between mean (α = 2) and mode (α = -∞)",
    variants=({"alpha": 2.0}, {"alpha": 0.0}, {"alpha": -2.0}, {"alpha": -math.inf}, {"reduction": "sum"}),
    claims=(
        Claim("smooth", 1.0, why="1/c² for α ≤ 2"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    exceptions={"range": "for α < 0 it is bounded by |α - 2|/|α|, by 1 for α = -∞"},
    references=("https://arxiv.org/abs/1701.03077",),
)
