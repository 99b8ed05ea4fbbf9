"""Lovász hinge: a convex surrogate of the Jaccard loss of binary masks, from logits.

The Lovász extension of the Jaccard loss at the hinge errors max(0, 1 - s z), s = ±1, per sample. 0 where every pixel
has the right sign with margin 1; unbounded. Convex and piecewise linear in the logits; it elicits a mask, not
probabilities, so σ(z) has no meaning. Without foreground it is the largest hinge error of the sample. Use it to polish
a mask after training with cross-entropy. Trap: the gradient reaches few pixels at a time, so from scratch it is slow.
Source: arXiv:1705.08790.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.lovasz import lovasz_extension
from losscope.losses.segmentation.overlap import IGNORED, flat_masks, over_samples
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LovaszHingeLoss", "lovasz_hinge_loss"]


def lovasz_hinge_loss(
    input: Tensor, target: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """Lovász hinge of logits, per sample over all further axes.

    ``input`` [N, …], ``target`` [N, …] of 0 and 1; pixels whose target is ``ignore_index`` do not count. ``reduction``
    "none" gives [N]. float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where the shapes
    differ. Berman, Triki and Blaschko, arXiv:1705.08790, sec. 3.1.

    >>> import torch
    >>> float(lovasz_hinge_loss(torch.tensor([[2.0, -3.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]])))
    0.75
    """
    z, t, kept = flat_masks(input, target, ignore_index)
    return over_samples(lovasz_extension(F.relu(1 - (2 * t - 1) * z), t, kept), kept, reduction)


LovaszHingeLoss = as_module(lovasz_hinge_loss, "LovaszHingeLoss")

SPEC = LossSpec(
    name="lovasz_hinge",
    title="Lovász hinge",
    family="segmentation",
    task="segmentation",
    formula=r"\overline{\Delta_J}\bigl([1-s_i z_i]_+\bigr)",
    input_space="scores",
    function=lovasz_hinge_loss,
    module=LovaszHingeLoss,
    arguments=(Argument("input", "mask-logits"), Argument("target", "mask")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where every pixel has the right sign with margin 1",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", why="the Jaccard loss is submodular"),
        Claim("strictly-proper", holds=False, why="the minimiser is a mask, not a probability"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1705.08790",),
)
