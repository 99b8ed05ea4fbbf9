"""β-NLL: the Gaussian negative log-likelihood, each element weighted by its own predicted variance to the power β.

½ [ln v + (ŷ - y)²/v] · v^β with v^β held constant in the gradient. β = 0 is the likelihood itself, under which points
that are fitted badly get a large v and thereby a small gradient, so they stay fitted badly. β = 1 gives the mean the
gradient of the squared error; ½ is the authors' choice. Its value means nothing, only its gradient does: it is not
the gradient of the value, and at a fixed fit the value moves with v^β. Report the likelihood (β = 0) instead.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import difference
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "BetaNLLLoss", "beta_nll_loss"]


def beta_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor,
    *,
    beta: float = 0.5,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Gaussian negative log-likelihood without ½ ln 2π, times the detached var^β, per element.

    ``input``, ``target`` and ``var`` ≥ 0 have one shape; ``var`` is held above ``eps`` (the gradient below is 0).
    Seitzer et al. 2022, arXiv:2203.09168, eq. 5.

    >>> import torch
    >>> x, t, v = torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([4.0])
    >>> round(float(beta_nll_loss(x, t, v)), 4)  # ½ (ln 4 + 1) · √4
    2.3863
    """
    same_shape(input, var, ("input", "var"))
    v = full_precision(var)[0].clamp(min=eps)
    likelihood = 0.5 * (v.log() + difference(input, target).square() / v)
    return reduce(likelihood * v.detach() ** beta, reduction)


BetaNLLLoss = as_module(beta_nll_loss, "BetaNLLLoss")

SPEC = LossSpec(
    name="beta_nll",
    title="β-weighted Gaussian negative log-likelihood",
    family="regression",
    task="regression",
    formula=r"\lfloor v^\beta\rfloor\,\tfrac12\left[\ln v+\frac{(\hat y-y)^2}{v}\right]",
    input_space="values",
    function=beta_nll_loss,
    module=BetaNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("var", "variance")),
    variants=({"beta": 0.0}, {"beta": 1.0}, {"reduction": "sum"}),
    range=(0.5 * math.log(1e-6), math.inf),
    attained="with β = 0, on a hit at the smallest variance allowed",
    value_is_progress=False,
    elicits="mean and variance",
    claims=(Claim("permutation-equivariant"),),
    gradient_kind="detached",
    references=("https://arxiv.org/abs/2203.09168",),
)
