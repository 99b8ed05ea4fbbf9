"""Negative binomial negative log-likelihood of counts: a Poisson whose variance μ + μ²/θ exceeds its mean.

The network gives z = ln μ and ln θ, the inverse dispersion (the "total count"). θ → ∞ is the Poisson likelihood.
Where counts are overdispersed, the Poisson loss fits the mean but is far too sure of it. The textbook formula, with
lnΓ(y + θ) - lnΓ(θ), loses all digits for a large θ and is NaN at θ = ∞; here Stirling's series takes over.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import bounded, softplus
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "NegativeBinomialNLLLoss", "negative_binomial_nll_loss"]

_STIRLING_FROM = 100.0


def negative_binomial_nll_loss(
    input: Tensor, target: Tensor, log_theta: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """-ln of the negative binomial probability of the counts ``target``, with mean exp(``input``), per element.

    ``log_theta`` is ln θ with variance μ + μ²/θ, held within ±30. The three have one shape; ``target`` ≥ 0 (real
    values are taken by the Gamma function; negative ones give NaN). Hilbe 2011, eq. 8.12.

    >>> zero = torch.zeros(1)
    >>> round(float(negative_binomial_nll_loss(zero, torch.tensor([2.0]), zero)), 4)  # μ = θ = 1: ln 2³
    2.0794
    """
    same_shape(input, target)
    same_shape(input, log_theta, ("input", "log_theta"))
    z, log_theta = full_precision(input, log_theta)
    y, log_theta = torch.where(target < 0, torch.nan, target).to(z.dtype), bounded(log_theta)
    theta = log_theta.exp()
    losses = (
        torch.lgamma(y + 1) - _rising(y, theta, log_theta) + (theta + y) * softplus(z - log_theta) - y * z
    )
    return reduce(losses, reduction)


def _rising(y: Tensor, theta: Tensor, log_theta: Tensor) -> Tensor:
    """lnΓ(θ + y) - lnΓ(θ) - y ln θ, which tends to 0 for a large θ."""
    large = theta > _STIRLING_FROM
    big = torch.where(large, theta, _STIRLING_FROM)
    series = (big + y - 0.5) * (y / big).log1p() - y + (1 / (big + y) - 1 / big) / 12
    series = series - ((big + y) ** -3 - big**-3) / 360
    small = torch.where(large, 1.0, theta)
    exact = torch.lgamma(small + y) - torch.lgamma(small) - y * torch.where(large, 0.0, log_theta)
    return torch.where(large, series, exact)


NegativeBinomialNLLLoss = as_module(negative_binomial_nll_loss, "NegativeBinomialNLLLoss")

SPEC = LossSpec(
    name="negative_binomial_nll",
    title="negative binomial negative log-likelihood",
    family="regression",
    task="counts",
    formula=r"\ln\frac{y!\,\Gamma(\theta)}{\Gamma(y+\theta)}-\theta\ln\frac{\theta}{\theta+\mu}-y\ln\frac{\mu}{\theta+\mu}",
    input_space="values",
    function=negative_binomial_nll_loss,
    module=NegativeBinomialNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "counts"), Argument("log_theta", "log-scale")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of a mean 0 for the count 0",
    unit="nats",
    elicits="logarithm of the mean, and dispersion",
    claims=(
        Claim("convex", holds=False, why="not jointly in mean and dispersion"),
        Claim("permutation-equivariant"),
    ),
    references=("https://doi.org/10.1017/CBO9780511973420", "https://doi.org/10.1038/s41592-018-0229-2"),
)
