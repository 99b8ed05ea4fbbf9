"""Soft Dice loss 1 - (2Σpt + s) / (Σp + Σt + s) per sample, also with squares in the denominator.

0 where prediction and mask agree, at most 1 for anything else. Where mask and prediction are both empty it is 0/0
without smoothing; that is taken for agreement, 0. It couples the pixels of a sample, is not convex and does not elicit
probabilities: its minimiser is a mask, not a calibrated map. Use it where the foreground is rare. Traps: probabilities
are expected, not logits; with a large s and few pixels of foreground the loss is small for everything; a sum over the
batch before the ratio is another loss (it couples the samples). For classes see ``multiclass_dice``.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import square_of
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import IGNORED, counts, flat_masks, over_samples, relative_error
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "DiceLoss", "dice_loss"]


def dice_loss(
    input: Tensor,
    target: Tensor,
    *,
    smooth: float = 1.0,
    squared: bool = False,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Soft Dice loss of probabilities, per sample over all further axes: 1 - (2Σpt + s) / (Σp + Σt + s).

    ``input`` and ``target`` [N, …] in [0, 1]; ``smooth`` s ≥ 0 makes an empty mask predicted as empty cost 0;
    ``squared`` puts Σp² + Σt² in the denominator. Pixels whose target is ``ignore_index`` do not count. ``reduction``
    "none" gives [N]. float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where the shapes
    differ. Milletari et al., arXiv:1606.04797, eq. 1.

    >>> import torch
    >>> float(dice_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)))
    0.0
    """
    require_not_negative(smooth=smooth)
    p, t, kept = flat_masks(input, target, ignore_index)
    agreed, extra, missed = counts(p, t)
    wrong = (p - t).square().sum(1) if squared else extra + missed
    return over_samples(relative_error(wrong, 2 * agreed + smooth), kept, reduction)


DiceLoss = as_module(dice_loss, "DiceLoss")


def _overlap(node: Node) -> Part | None:
    """The Σ p·t in the numerator, with its factor and the target as weight."""
    parts = parts_of(node, lambda _: False).parts
    if len(parts) != 1 or len(parts[0].weights) != 1 or not parts[0].sums:
        return None
    return parts[0]


def _match(part: Part) -> Reading | None:
    """2Σpt over Σp (+ Σt, a constant)."""
    top, bottom = (*part.node.inputs, None)[:2]
    if top is None or bottom is None or part.scale > 0:
        return None
    overlap = _overlap(top)
    if overlap is None:
        return None
    totals = parts_of(bottom, lambda _: False).parts
    if len(totals) != 1 or totals[0].weights or not abs(overlap.scale - 2 * totals[0].scale) < 1e-6:
        return None
    below = square_of(totals[0].node) or totals[0].node
    if below is not overlap.node:
        return None
    return Reading(
        prediction=overlap.node,
        tensor=output(overlap.node),
        target=overlap.weights[0],
        options={"target": "binary"},
        sign=-1.0,
        absorbs_constant=True,
    )


SPEC = LossSpec(
    name="dice",
    title="Dice loss",
    family="segmentation",
    task="segmentation",
    formula=r"1-\frac{2\sum_i p_i t_i}{\sum_i p_i+\sum_i t_i}",
    input_space="probabilities",
    function=dice_loss,
    module=DiceLoss,
    arguments=(Argument("input", "mask-probabilities"), Argument("target", "mask")),
    variants=({"squared": True}, {"smooth": 0.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="where prediction and mask agree",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a mask, not a probability"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    signatures=(Signature(("Div",), _match),),
    references=("https://arxiv.org/abs/1606.04797",),
    examples=(
        Example(
            "1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)",
            "1 - (2 * (p * t).sum() + 1) / ((p + t).sum() + 1)",
            "none",
            activation="sigmoid",
        ),
        Example(
            "1 - ((2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()",
            "(1 - (2 * (p * t).sum(1) + 1) / ((p + t).sum(1) + 1)).mean()",
            "mean",
            activation="sigmoid",
        ),
    ),
    twins=(
        Twin("1 - (p * t).sum() / (p.sum() + t.sum())", "unknown"),
        Twin("1 - 2 * (p * t).sum() / (v.sum() + t.sum())", "unknown"),
    ),
)
