"""Correlation alignment: ‖C_x - C_y‖_F² / (4 D²) for the covariance matrices of two samples.

Second moments only: it does not see a shift of the mean, nor anything beyond covariance. It grows with the fourth
power of the scale of the features. Covariances of few points are noisy: with N ≪ D it mostly compares noise.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.distribution.distances import pair_of_samples
from losscope.losses.module import as_module
from losscope.losses.reduction import product
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CORALLoss", "coral_loss"]


def coral_loss(input: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances of ``input`` [N, D] and ``target`` [M, D], over 4D²; one number.

    Covariances divide by N - 1: two points at least on each side. Sun and Saenko 2016, arXiv:1607.01719, eq. 1.

    >>> import torch
    >>> coral_loss(torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [2.0]])).item()  # (2 - 8)²/4
    9.0
    """
    x, y = pair_of_samples(input, target, 2)
    return (_covariance(x) - _covariance(y)).square().sum() / (4 * x.shape[1] ** 2)


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    return product(centred.mT, centred) / (len(x) - 1)


CORALLoss = as_module(coral_loss, "CORALLoss")

SPEC = LossSpec(
    name="coral",
    title="correlation alignment",
    family="distribution",
    task="distribution",
    formula=r"\tfrac1{4D^2}\|C_x-C_y\|_F^2",
    input_space="samples",
    function=coral_loss,
    module=CORALLoss,
    arguments=(Argument("input", "samples"), Argument("target", "reference-samples")),
    range=(0.0, math.inf),
    attained="where the covariances agree",
    elicits="covariance",
    claims=(Claim("convex", holds=False), Claim("symmetric"), Claim("permutation-equivariant")),
    batch_coupled=True,
    exceptions={"empty-batch": "a sample without points has no distribution: it is refused"},
    denominator="4 D²",
    references=("https://arxiv.org/abs/1607.01719",),
)
