"""Negative evidence lower bound of a variational autoencoder: reconstruction + β · KL(q(z|x) ‖ N(0, 1)), in nats.

Reconstruction is -ln p(x|z) summed over the elements of a sample: "bernoulli" from logits, or "gaussian" with a fixed
scale, all constants kept, so that with β = 1 the value bounds -ln p(x). KL = ½ Σ (μ² + σ² - ln σ² - 1). Both are
*sums* over elements; taking means instead divides them by different numbers and so changes β silently, the commonest
fault. KL = 0 in every dimension is posterior collapse: the decoder ignores z. ``free_bits`` λ lets each latent
dimension have λ nats for free, max(λ, KL_j), which keeps it from collapsing; here for each sample's KL_j, so that the
loss stays a mean over samples (the paper clamps the batch's mean). Below λ there is no gradient. :func:`elbo_terms`
gives both parts; watch them apart. Sources: arXiv:1312.6114, β: openreview Sy2fzU9gl, free bits: arXiv:1606.04934.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "VAELoss", "elbo_terms", "vae_loss"]


def elbo_terms(
    input: Tensor,
    target: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    *,
    likelihood: str = "bernoulli",
    scale: float = 1.0,
    free_bits: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Reconstruction -ln p(x|z) and KL (after free bits) of every sample, two [N]; arguments as in :func:`vae_loss`."""
    same_shape(input, target)
    same_shape(mean, log_variance, ("mean", "log_variance"))
    input, target, mean, log_variance = full_precision(input, target, mean, log_variance)
    if likelihood == "bernoulli":
        each = F.binary_cross_entropy_with_logits(input, target.to(input.dtype), reduction="none")
    elif likelihood == "gaussian":
        each = ((input - target) / scale).square() / 2 + math.log(scale * math.sqrt(2 * math.pi))
    else:
        raise BadUsage("unknown likelihood", seen=repr(likelihood), remedy="use 'bernoulli' or 'gaussian'")
    divergence = (mean.square() + torch.expm1(log_variance) - log_variance) / 2
    if free_bits:
        divergence = divergence.clamp(min=free_bits)
    return each.flatten(1).sum(1), divergence.flatten(1).sum(1)


def vae_loss(
    input: Tensor,
    target: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    *,
    beta: float = 1.0,
    likelihood: str = "bernoulli",
    scale: float = 1.0,
    free_bits: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Negative ELBO per sample: reconstruction of ``target`` by ``input`` [N, …] plus ``beta`` times the KL.

    ``input`` are logits for "bernoulli" (targets in [0, 1]), means for "gaussian" with standard deviation ``scale``;
    ``mean`` and ``log_variance`` [N, …] are those of q(z|x). ``free_bits`` in nats per latent dimension.
    ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in float32.

    >>> zeros = torch.zeros(1, 2)
    >>> round(float(vae_loss(zeros, zeros, torch.ones(1, 3), torch.zeros(1, 3))) - 2 * math.log(2), 5)
    1.5
    """
    reconstruction, divergence = elbo_terms(
        input, target, mean, log_variance, likelihood=likelihood, scale=scale, free_bits=free_bits
    )
    return reduce(reconstruction + beta * divergence, reduction)


VAELoss = as_module(vae_loss, "VAELoss")

SPEC = LossSpec(
    name="vae_elbo",
    title="negative evidence lower bound (VAE)",
    also=("ELBO", "VAE"),
    family="generative",
    task="generative",
    formula=r"-\ln p(x\mid z)+\tfrac\beta2\sum_j(\mu_j^2+\sigma_j^2-\ln\sigma_j^2-1)",
    input_space="any",
    function=vae_loss,
    module=VAELoss,
    arguments=(
        Argument("input", "binary-logits"),
        Argument("target", "binary"),
        Argument("mean", "values", axes="N M"),
        Argument("log_variance", "log-scale", axes="N M"),
    ),
    variants=({"beta": 0.5}, {"free_bits": 0.5}, {"likelihood": "gaussian"}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="for binary data that are reconstructed surely, with q(z|x) = N(0, 1)",
    unit="nats",
    claims=(
        Claim("convex", why="each part is convex in its own predictions"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, holds=False, why="quadratic in μ, exponential in ln σ²"),
    ),
    denominator="number of samples; elements and latent dimensions are summed",
    references=(
        "https://arxiv.org/abs/1312.6114",
        "https://openreview.net/forum?id=Sy2fzU9gl",
        "https://arxiv.org/abs/1606.04934",
    ),
)
