"""The sum that trains a dense detector: binary focal loss of the classes plus GIoU loss of the boxes of positive
anchors.

(Σ focal / class_base + w Σ_positives (1 - GIoU) / box_base) / max(1, number of positives). Anchors without a class
are background: they have a class loss and no box loss. Dividing by the positives, not by all anchors, keeps the size
of the loss independent of the number of anchors. The base values make w a real ratio of importance: put in what each
part costs before training (a GIoU loss of about 1; for the classes the focal loss per positive at the prior of the
bias). Without positives the divisor is 1 and the boxes cost 0. The samples of a batch are coupled by the divisor;
across several ranks the numbers of positives must be summed first. "mean" is this; "sum" leaves the divisor out,
"none" gives one number per anchor. For the smooth L1 loss of encoded boxes see ``smooth_l1``. Source: RetinaNet,
arXiv:1708.02002, sec. 4.1.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.detection.giou import giou_loss
from losscope.losses.detection.sigmoid_focal import sigmoid_focal_loss
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "DetectionSum", "detection_sum_loss"]


def detection_sum_loss(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    *,
    box_weight: float = 1.0,
    class_base: float = 1.0,
    box_base: float = 1.0,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of ``logits`` [N, C] against ``labels`` [N, C] plus GIoU loss of ``boxes`` [N, 4] of positive anchors.

    An anchor is positive where one of its labels is above 0; the boxes of the others may hold anything, NaN included.
    "mean" divides by the number of positives, at least 1. float16 and bfloat16 are computed and returned in float32.

    >>> import torch
    >>> zeros = torch.zeros(5, 4)
    >>> float(detection_sum_loss(torch.full((5, 3), -1e4), zeros, torch.zeros(5, 3), zeros))
    0.0
    """
    require_positive(class_base=class_base, box_base=box_base)
    if logits.dim() != 2 or boxes.shape != (logits.shape[0], 4):
        raise BadUsage(
            "logits must be [N, C] and boxes [N, 4]", seen=f"{tuple(logits.shape)} and {tuple(boxes.shape)}"
        )
    positive = (labels > 0).any(1)
    boxes, target_boxes = (x.masked_fill(~positive[:, None], 0.0) for x in (boxes, target_boxes))
    classes = sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma, reduction="none").sum(1)
    placed = reduce(giou_loss(boxes, target_boxes, reduction="none"), "none", positive)
    losses = classes / class_base + box_weight * placed / box_base
    if reduction == "mean":
        return losses.sum() / positive.sum().clamp(min=1)
    return reduce(losses, reduction)


DetectionSum = as_module(detection_sum_loss, "DetectionSum")

SPEC = LossSpec(
    name="detection_sum",
    title="detection loss (focal and GIoU, per positive)",
    also=("RetinaNet",),
    family="detection",
    task="detection",
    formula=r"\frac1{\max(1,P)}\Bigl(\frac{\sum\mathrm{focal}}{b_c}+w\frac{\sum_{+}(1-\mathrm{GIoU})}{b_b}\Bigr)",
    input_space="any",
    function=detection_sum_loss,
    module=DetectionSum,
    arguments=(
        Argument("logits", "binary-logits", axes="N C"),
        Argument("boxes", "boxes"),
        Argument("labels", "binary", axes="N C"),
        Argument("target_boxes", "target-boxes"),
    ),
    sizes={"C": 1},
    variants=({"box_weight": 2.0, "class_base": 0.5},),
    range=(0.0, math.inf),
    attained="for infinite margins and boxes that are right",
    claims=(Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of positive anchors, at least 1",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1708.02002",),
)
