"""Tversky loss: Dice with separate prices for false positives (α) and false negatives (β).

1 - (Σpt + s) / (Σpt + α Σp(1-t) + β Σ(1-p)t + s) per sample. α = β = ½ is the Dice loss (with 2s), α = β = 1 the IoU
loss. β > α buys recall: Salehi et al. use α = 0.3, β = 0.7. 0 where prediction and mask agree, at most 1; empty mask
and empty prediction cost 0. Neither convex nor proper. Trap: some libraries exchange α and β. Source: arXiv:1706.05721.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import IGNORED, counts, flat_masks, over_samples, relative_error
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "TverskyLoss", "tversky_loss"]


def tversky_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Tversky loss of probabilities, per sample: ``alpha`` weighs false positives, ``beta`` false negatives.

    ``input`` and ``target`` [N, …] in [0, 1]; ``smooth`` ≥ 0 is added to numerator and denominator. Pixels whose target
    is ``ignore_index`` do not count. ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in
    float32. Raises ``BadUsage`` where the shapes differ. Salehi et al., arXiv:1706.05721, eq. 3.

    >>> import torch
    >>> p, t = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    >>> round(float(tversky_loss(p, t, smooth=0.0)), 6)
    0.5
    """
    require_not_negative(alpha=alpha, beta=beta, smooth=smooth)
    p, t, kept = flat_masks(input, target, ignore_index)
    agreed, extra, missed = counts(p, t)
    return over_samples(relative_error(alpha * extra + beta * missed, agreed + smooth), kept, reduction)


TverskyLoss = as_module(tversky_loss, "TverskyLoss")

SPEC = LossSpec(
    name="tversky",
    title="Tversky loss",
    family="segmentation",
    task="segmentation",
    formula=r"1-\frac{\sum p t+s}{\sum p t+\alpha\sum p(1-t)+\beta\sum(1-p)t+s}",
    input_space="probabilities",
    function=tversky_loss,
    module=TverskyLoss,
    arguments=(Argument("input", "mask-probabilities"), Argument("target", "mask")),
    variants=({"alpha": 0.5, "beta": 0.5}, {"smooth": 0.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="where prediction and mask agree",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric", holds=False, why="false positives and false negatives have different prices"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a mask, not a probability"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1706.05721",),
)
