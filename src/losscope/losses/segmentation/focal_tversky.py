"""Focal Tversky loss: the Tversky loss raised to a power, which shifts weight between good and bad samples.

T^(1/γ) with the Tversky loss T per sample; Abraham and Khan use γ = 4/3, so that samples that are nearly right keep a
gradient. 0 where prediction and mask agree, at most 1. The slope of T^¾ is infinite at T = 0: below T = 10⁻⁶ it is
replaced by the straight line through 0 and the curve, so that value and gradient stay finite at a perfect prediction.
Neither convex nor proper. Trap: libraries differ in whether γ or 1/γ is the power. Source: arXiv:1810.07842, eq. 4.
"""

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative, require_positive
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import IGNORED, over_samples
from losscope.losses.segmentation.tversky import tversky_loss
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "FocalTverskyLoss", "focal_tversky_loss"]

_KNEE = 1e-6


def focal_tversky_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    smooth: float = 1.0,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """(Tversky loss)^(1/γ) per sample, linear below 10⁻⁶; the options are those of :func:`tversky_loss`.

    ``gamma`` > 0; 1 is the Tversky loss itself. ``reduction`` "none" gives [N]. Abraham and Khan, arXiv:1810.07842.

    >>> import torch
    >>> p, t = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    >>> round(float(focal_tversky_loss(p, t, smooth=0.0, gamma=0.5)), 6)
    0.25
    """
    require_positive(gamma=gamma)
    require_not_negative(alpha=alpha, beta=beta, smooth=smooth)
    loss = tversky_loss(
        input, target, alpha=alpha, beta=beta, smooth=smooth, ignore_index=ignore_index, reduction="none"
    )
    power, curved = 1 / gamma, loss > _KNEE
    curve = torch.where(curved, loss, 1.0) ** power
    losses = torch.where(curved, curve, loss * _KNEE ** (power - 1))
    return over_samples(losses, (target != ignore_index).flatten(1), reduction)


FocalTverskyLoss = as_module(focal_tversky_loss, "FocalTverskyLoss")

SPEC = LossSpec(
    name="focal_tversky",
    title="focal Tversky loss",
    family="segmentation",
    task="segmentation",
    formula=r"\Bigl(1-\frac{\sum p t+s}{\sum p t+\alpha\sum p(1-t)+\beta\sum(1-p)t+s}\Bigr)^{1/\gamma}",
    input_space="probabilities",
    function=focal_tversky_loss,
    module=FocalTverskyLoss,
    arguments=(Argument("input", "mask-probabilities"), Argument("target", "mask")),
    variants=({"gamma": 0.5}, {"smooth": 0.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="where prediction and mask agree",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a mask, not a probability"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1810.07842",),
)
