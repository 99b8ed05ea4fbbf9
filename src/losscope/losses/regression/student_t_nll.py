"""Student-t negative log-likelihood with a predicted scale: heavy tails of ν degrees of freedom.

-ln p = ln σ + (ν + 1)/2 · ln(1 + z²/ν) + constant with z = (ŷ - y)/σ; the network gives ln σ. ν = 1 is the Cauchy
likelihood, ν → ∞ the Gaussian one. Outliers have bounded influence: the pull of a residual falls as 1/|d| beyond
σ√ν. Not convex in the location. σ is not the standard deviation, which is σ√(ν/(ν - 2)) and infinite for ν ≤ 2.
ln σ is held within ±30, because a hit lets σ shrink for ever.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import LOG_SCALE_LIMIT, bounded, difference
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "StudentTNLLLoss", "student_t_nll_loss"]


def student_t_nll_loss(
    input: Tensor, target: Tensor, log_scale: Tensor, *, df: float = 3.0, reduction: str = "mean"
) -> Tensor:
    """-ln of Student's density of ``target``: location ``input``, scale exp(``log_scale``), ``df`` degrees of freedom.

    Per element; the three tensors have one shape; ``log_scale`` is held within ±30; ``df`` > 0.

    >>> import torch
    >>> x, t, s = torch.tensor([1.0]), torch.tensor([0.0]), torch.zeros(1)
    >>> round(float(student_t_nll_loss(x, t, s, df=1.0)), 4)  # ln 2π: the Cauchy density at 1 is 1/(2π)
    1.8379
    """
    require_positive(df=df)
    same_shape(input, log_scale, ("input", "log_scale"))
    s = bounded(full_precision(log_scale)[0])
    z = difference(input, target) * (-s).exp()
    return reduce(s + 0.5 * (df + 1) * (z.square() / df).log1p() + _constant(df), reduction)


def _constant(df: float) -> float:
    """-ln of the density of the standard Student distribution at 0."""
    return math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)


StudentTNLLLoss = as_module(student_t_nll_loss, "StudentTNLLLoss")

SPEC = LossSpec(
    name="student_t_nll",
    title="Student-t negative log-likelihood",
    family="regression",
    task="regression",
    formula=r"s+\tfrac{\nu+1}2\ln\left(1+\tfrac{(\hat y-y)^2}{\nu e^{2s}}\right)"
    r"+\ln\frac{\Gamma(\nu/2)\sqrt{\nu\pi}}{\Gamma((\nu+1)/2)}",
    input_space="values",
    function=student_t_nll_loss,
    module=StudentTNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("log_scale", "log-scale")),
    variants=({"df": 5.0}, {"reduction": "sum"}),
    range=(0.5 * math.log(2 * math.pi) - LOG_SCALE_LIMIT, math.inf),
    attained="on a hit, at the smallest scale allowed",
    unit="nats",
    elicits="Student-t location and scale",
    claims=(
        Claim("convex", holds=False, why="concave in the location far from the target"),
        Claim("permutation-equivariant"),
    ),
    references=("https://doi.org/10.1080/01621459.1989.10478852",),
)
