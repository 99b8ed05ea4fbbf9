"""Diffusion loss: weighted squared error of a network that predicts the noise, the clean data or the velocity.

With x_t = a x₀ + s ε, a² + s² = 1, SNR = a²/s², a network predicts ε, x₀ or v = a ε - s x₀. The three errors are the
same up to a factor: ‖ε - ε̂‖² = SNR ‖x₀ - x̂₀‖² and ‖v - v̂‖² = (SNR + 1) ‖x₀ - x̂₀‖². So the choice of what is
predicted is a choice of weights over noise levels, and the weight can be chosen freely: ``weighting`` names the
prediction whose plain error is meant, or "min-snr", min(SNR, γ) on the x₀ error, which balances the noise levels (γ =
5).

The value: noise levels differ in how well they can be predicted, so it is the mean over levels of unequal numbers; it
falls quickly, then hardly moves while samples go on improving. Compare it only under the same weights and the same
distribution of t. Its floor is above 0 (the noise cannot be known). Chance for the plain error is the variance of the
targets, 1 for ε. Traps: "x0" weights on an ε-prediction blow up at SNR → 0; with zero terminal SNR predict v.
Sources: arXiv:2006.11239 (ε), arXiv:2202.00512 (v), arXiv:2303.09556 (min-SNR-γ).
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import variance_chance
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "DiffusionLoss", "diffusion_loss"]

_PREDICTIONS = ("epsilon", "v", "x0")


def diffusion_loss(
    input: Tensor,
    target: Tensor,
    snr: Tensor,
    *,
    prediction: str = "epsilon",
    weighting: str = "plain",
    gamma: float = 5.0,
    reduction: str = "mean",
) -> Tensor:
    """Weighted mean squared error per sample of ``input`` against ``target`` [N, …], at signal-to-noise ``snr`` [N].

    ``prediction`` says what both are: "epsilon", "v" or "x0". ``weighting``: "plain" (of this prediction), the plain
    weighting of another, or "min-snr" with γ = ``gamma``. ``snr`` is positive and finite (0 is allowed where the
    weight is finite: predict v). ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in
    float32.

    >>> x = torch.tensor([[1.0, 3.0]])
    >>> float(diffusion_loss(x, torch.zeros(1, 2), torch.tensor([10.0]), weighting="min-snr"))
    2.5
    """
    same_shape(input, target)
    if snr.shape != input.shape[:1]:
        raise BadUsage("snr must be [N]", seen=f"{tuple(snr.shape)} for {tuple(input.shape)}")
    if prediction not in _PREDICTIONS or weighting not in ("plain", "min-snr", *_PREDICTIONS):
        raise BadUsage("unknown prediction or weighting", seen=f"{prediction!r}, {weighting!r}")
    input, target, snr = full_precision(input, target, snr)
    losses = (input - target).square().flatten(1).mean(1)
    if weighting not in ("plain", prediction):
        losses = losses * _factor(snr, prediction, weighting, gamma)
    return reduce(losses, reduction)


def _factor(snr: Tensor, prediction: str, weighting: str, gamma: float) -> Tensor:
    """Weight of the x₀ error, over what the x₀ error is of the error of this prediction."""
    if weighting == "min-snr" and prediction == "epsilon":
        return (gamma / snr).clamp(max=1.0)  # min(SNR, γ) / SNR, also for SNR = 0
    on_x0 = {"x0": torch.ones_like(snr), "epsilon": snr, "v": snr + 1, "min-snr": snr.clamp(max=gamma)}
    return on_x0[weighting] / on_x0[prediction]


DiffusionLoss = as_module(diffusion_loss, "DiffusionLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Variance of the targets, for plain errors: other weights need the noise levels."""
    plain = options.get("weighting", "plain") in ("plain", options.get("prediction", "epsilon"))
    return variance_chance(stats, options) if plain else None


SPEC = LossSpec(
    name="diffusion",
    title="diffusion loss",
    also=("DDPM", "min-SNR", "v-prediction"),
    family="generative",
    task="generative",
    formula=r"w(\mathrm{SNR})\,\tfrac1D\lVert\epsilon-\hat\epsilon\rVert^2",
    input_space="values",
    function=diffusion_loss,
    module=DiffusionLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("snr", "weights")),
    variants=(
        {"prediction": "v", "weighting": "min-snr"},
        {"prediction": "x0", "weighting": "epsilon"},
        {"weighting": "min-snr"},
        {"reduction": "sum"},
    ),
    range=(0.0, math.inf),
    attained="where the prediction is the target, which noise does not allow",
    elicits="mean",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("lipschitz", 1.0, holds=False, why="grows with the residual"),
    ),
    denominator="number of samples, and of elements of each",
    chance=_chance,
    references=(
        "https://arxiv.org/abs/2006.11239",
        "https://arxiv.org/abs/2202.00512",
        "https://arxiv.org/abs/2303.09556",
    ),
)
