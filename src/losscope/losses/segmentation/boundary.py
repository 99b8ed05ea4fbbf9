"""Boundary (surface) loss: the mean of probability times signed distance to the true boundary.

φ is the distance of a pixel to the boundary of the mask, negative inside (:func:`signed_distance`). Probability outside
costs its distance, probability inside earns it. The value is linear in p, negative at a good mask and therefore no
measure of progress by itself: the best value is the mean of min(φ, 0). Beside a Dice or cross-entropy term it moves
borders. It elicits p = 1 where the expected φ is negative. Traps: it has no gradient that tells an empty prediction
from a small one, so it is not used alone; an empty or full mask has no boundary (φ = 0 here). Source: arXiv:1812.07032.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "BoundaryLoss", "boundary_loss", "signed_distance"]


def boundary_loss(
    input: Tensor, distance: Tensor, mask: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """p·φ per pixel. ``input`` probabilities and ``distance`` [N, …] of one shape; ``mask`` 0 at what is ignored.

    ``reduction`` "mean" divides by the number of pixels that count, "none" keeps the shape. float16 and bfloat16 are
    computed and returned in float32. Raises ``BadUsage`` where shapes differ. Kervadec et al., arXiv:1812.07032, eq. 5.

    >>> import torch
    >>> float(boundary_loss(torch.tensor([[1.0, 0.5]]), torch.tensor([[-1.0, 2.0]])))
    0.0
    """
    same_shape(input, distance, ("input", "distance"))
    input, distance = full_precision(input, distance)
    if mask is not None:
        same_shape(input, mask, ("input", "mask"))
        input, distance = (x.masked_fill(mask == 0, 0.0) for x in (input, distance))
    return reduce(input * distance, reduction, mask)


def signed_distance(mask: Tensor) -> Tensor:
    """Euclidean distance to the boundary of each mask [N, …], negative inside, in pixels; computed on the CPU.

    Pixels at the boundary have ±1 outside and 0 inside, as in the authors' code. Masks that are empty or full: 0.

    >>> import torch
    >>> signed_distance(torch.tensor([[0, 0, 1, 1, 1]])).tolist()
    [[2.0, 1.0, 0.0, -1.0, -2.0]]
    """
    from scipy.ndimage import (  # lazy: slow to import, and few need it
        distance_transform_edt,
    )  # lazy: training scripts that do not use it need not load it

    out = torch.zeros(mask.shape)
    for i, inside in enumerate(mask.detach().cpu().numpy() > 0.5):
        if inside.any() and not inside.all():
            depth, height = (torch.as_tensor(distance_transform_edt(m)) for m in (inside, ~inside))
            out[i] = height - (depth - 1).clamp(min=0.0)
    return out.to(mask.device)


BoundaryLoss = as_module(boundary_loss, "BoundaryLoss")

SPEC = LossSpec(
    name="boundary",
    title="boundary (surface) loss",
    family="segmentation",
    task="segmentation",
    formula=r"p_i\,\varphi_i",
    input_space="probabilities",
    function=boundary_loss,
    module=BoundaryLoss,
    arguments=(
        Argument("input", "mask-probabilities"),
        Argument("distance", "real", axes="N 1 H W"),
    ),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="never: a deeper mask earns more",
    value_is_progress=False,
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", why="linear"),
        Claim("strictly-proper", holds=False, why="linear: the minimiser is a mask"),
    ),
    gradient=lambda input, distance, options: distance,
    denominator="number of pixels that count",
    references=("https://arxiv.org/abs/1812.07032",),
)
