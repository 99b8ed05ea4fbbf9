"""Denoising score matching: a network learns ∇ ln p_σ of noisy data as the direction back to the clean ones.

For x̃ = x + σ ε the target is -ε/σ. With weight σ² the loss of a sample is ½ ‖σ s(x̃) + ε‖², of the same size at
every noise level. The minimiser is the score of the noisy data's density. It is the ε-prediction of diffusion with ε̂
= -σ s, times D/2. The floor is above 0, ½ D minus what can be known; s = 0 costs ½ D on average, the chance level of
unit noise. Without the weight (``weighted=False``) small σ dominate by 1/σ² and the variance is unbounded. Sources:
Vincent 2011, doi:10.1162/NECO_a_00142; weights: arXiv:1907.05600.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "DenoisingScoreMatchingLoss", "denoising_score_matching_loss"]


def denoising_score_matching_loss(
    input: Tensor, noise: Tensor, sigma: Tensor, *, weighted: bool = True, reduction: str = "mean"
) -> Tensor:
    """½ ‖σ s + ε‖² per sample (over σ² without ``weighted``), of the score ``input`` at x + σ ε.

    ``input`` and ``noise`` ε ~ N(0, 1) [N, …], ``sigma`` [N] above 0. ``reduction`` "none" gives [N]. float16 and
    bfloat16 are computed and returned in float32. Raises ``BadUsage`` where shapes do not fit.

    >>> import torch
    >>> e = torch.tensor([[1.0, -2.0]])
    >>> float(denoising_score_matching_loss(-e / 0.5, e, torch.tensor([0.5])))
    0.0
    """
    same_shape(input, noise, ("input", "noise"))
    if sigma.shape != input.shape[:1]:
        raise BadUsage("sigma must be [N]", seen=f"{tuple(sigma.shape)} for {tuple(input.shape)}")
    input, noise, sigma = full_precision(input, noise, sigma)
    scale = sigma[:, None]
    score, noise = input.flatten(1), noise.flatten(1)
    residual = scale * score + noise if weighted else score + noise / scale
    return reduce(residual.square().sum(1) / 2, reduction)


DenoisingScoreMatchingLoss = as_module(denoising_score_matching_loss, "DenoisingScoreMatchingLoss")

SPEC = LossSpec(
    name="denoising_score_matching",
    title="denoising score matching",
    family="generative",
    task="generative",
    formula=r"\tfrac12\lVert\sigma s_\theta(x+\sigma\epsilon)+\epsilon\rVert^2",
    input_space="values",
    function=denoising_score_matching_loss,
    module=DenoisingScoreMatchingLoss,
    arguments=(Argument("input", "values"), Argument("noise", "real"), Argument("sigma", "weights")),
    variants=({"weighted": False}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where the noise is known, which noisy data do not allow",
    elicits="score of the noisy data, -E[ε | x̃]/σ",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, holds=False, why="grows with the residual"),
    ),
    denominator="number of samples; elements are summed",
    exceptions={
        "descent": "the score points against the noise: its target is -ε/σ, not the noise that is given"
    },
    references=("https://doi.org/10.1162/NECO_a_00142", "https://arxiv.org/abs/1907.05600"),
)
