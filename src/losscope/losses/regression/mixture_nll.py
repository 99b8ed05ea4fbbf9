"""Negative log-likelihood of a mixture density network: a mixture of Gaussians whose parameters the network gives.

-ln Σ_k π_k N(y; μ_k, σ_k²) with π = softmax of logits. For targets with several possible values, of which the squared
error would give the useless mean. Unbounded below: one component may collapse onto one target, so ln σ is held within
±30 here and should be bounded tighter by a prior or a floor. Not convex; components may die or coincide. The order of
the components means nothing.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import LOG_SCALE_LIMIT, bounded
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "MixtureNLLLoss", "mixture_nll_loss"]


def mixture_nll_loss(
    logits: Tensor, mean: Tensor, log_scale: Tensor, target: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """-ln Σ_k softmax(``logits``)_k N(``target``; ``mean``_k, exp(``log_scale``_k)²), one value per target.

    ``logits``, ``mean`` and ``log_scale`` are [..., K] for ``target`` [...]. Bishop 1994, "Mixture density networks".

    >>> import torch
    >>> flat = torch.zeros(1, 3)
    >>> round(float(mixture_nll_loss(flat, flat, flat, torch.zeros(1))), 4)  # ½ ln 2π
    0.9189
    """
    same_shape(logits, mean, ("logits", "mean"))
    same_shape(logits, log_scale, ("logits", "log_scale"))
    same_shape(mean[..., 0], target, ("one component of mean", "target"))
    z, mu, s, y = full_precision(logits, mean, log_scale, target)
    s = bounded(s)
    standard = (mu - y.to(mu.dtype).unsqueeze(-1)) * (-s).exp()
    joint = z.log_softmax(-1) - s - 0.5 * standard.square()
    return reduce(0.5 * math.log(2 * math.pi) - joint.logsumexp(-1), reduction)


MixtureNLLLoss = as_module(mixture_nll_loss, "MixtureNLLLoss")

SPEC = LossSpec(
    name="mixture_nll",
    title="negative log-likelihood of a Gaussian mixture",
    family="regression",
    task="regression",
    formula=r"-\ln\sum_k\pi_k\,\mathcal N(y;\mu_k,\sigma_k^2)",
    input_space="values",
    function=mixture_nll_loss,
    module=MixtureNLLLoss,
    arguments=(
        Argument("logits", "logits", "N M"),
        Argument("mean", "values", "N M"),
        Argument("log_scale", "log-scale", "N M"),
        Argument("target", "real", "N"),
    ),
    variants=({"reduction": "sum"},),
    range=(0.5 * math.log(2 * math.pi) - LOG_SCALE_LIMIT, math.inf),
    attained="where one component holds all weight and hits, at the smallest scale allowed",
    unit="nats",
    elicits="distribution",
    claims=(
        Claim("convex", holds=False, why="exchanging two components changes nothing, their mean does"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of targets",
    references=("https://publications.aston.ac.uk/id/eprint/373/",),
)
