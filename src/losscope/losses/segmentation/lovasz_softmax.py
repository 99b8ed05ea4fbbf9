"""Lovász-softmax: a surrogate of the mean Jaccard loss over classes, from logits.

For every class the Lovász extension of its Jaccard loss at the errors |t - p| of the softmax; the mean over the classes
that occur in the sample (or over all). From 0 (infinite margins) to 1; at hard predictions it *is* the mean of 1 - IoU.
Not convex in the logits, not proper. ``per_image=False`` takes the batch as one image, as the data set's IoU does, and
then the samples of a batch are coupled. With "all", a class that is absent costs its largest probability. Trap: the
mean IoU of small batches is a biased estimate of the data set's. Source: arXiv:1705.08790.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.lovasz import lovasz_extension
from losscope.losses.segmentation.overlap import (
    IGNORED,
    class_probabilities,
    flat_classes,
    over_classes,
    over_samples,
)
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LovaszSoftmaxLoss", "lovasz_softmax_loss"]


def lovasz_softmax_loss(
    input: Tensor,
    target: Tensor,
    *,
    classes: str = "present",
    per_image: bool = True,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Lovász-softmax of logits ``input`` [N, C, …] against class indices ``target`` [N, …].

    ``classes`` "present" in the image or "all"; ``per_image=False`` takes the batch as one image. Pixels whose target
    is ``ignore_index`` do not count. ``reduction`` "none" gives [N] ([1] for the batch as one). float16 and bfloat16
    are computed and returned in float32. A class outside 0 … C - 1 raises. Berman et al., arXiv:1705.08790, eq. 11.

    >>> import torch
    >>> z = torch.tensor([[[9e3, 9e3, 0.0], [0.0, 0.0, 9e3]]])
    >>> float(lovasz_softmax_loss(z, torch.tensor([[0, 1, 1]])))  # IoU ½ and ½
    0.5
    """
    scores, t, kept = flat_classes(input, target, ignore_index)
    if not per_image:
        scores, t = (x.transpose(0, 1).reshape(1, x.shape[1], -1) for x in (scores, t))
        kept = kept.reshape(1, -1)
    errors = (t - class_probabilities(scores, kept)).abs()
    losses = lovasz_extension(errors, t, kept[:, None].expand_as(t))
    return over_samples(over_classes(losses, t, classes), kept, reduction)


LovaszSoftmaxLoss = as_module(lovasz_softmax_loss, "LovaszSoftmaxLoss")

SPEC = LossSpec(
    name="lovasz_softmax",
    title="Lovász-softmax",
    family="segmentation",
    task="segmentation",
    formula=r"\frac1{|C|}\sum_{c\in C}\overline{\Delta_{J_c}}\bigl(|t_{ci}-p_{ci}|\bigr)",
    input_space="logits",
    function=lovasz_softmax_loss,
    module=LovaszSoftmaxLoss,
    arguments=(Argument("input", "class-mask-logits"), Argument("target", "class-index-map")),
    variants=({"classes": "all"}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="in the limit of infinite margins",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a map of classes, not probabilities"),
    ),
    denominator="number of samples in which a pixel counts (and of classes present)",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1705.08790",),
)
