"""Total variation of images: the mean size of the differences between neighbouring pixels.

"anisotropic": Σ |∂x| + Σ |∂y| per sample; "isotropic": Σ √(∂x² + ∂y²). Over the number of elements of the sample, so
that it does not grow with the image. 0 for constant images; convex; adding a number to an image changes nothing. It
removes noise and keeps edges, but loses contrast and makes flat steps; as a term of a loss it is small. It takes no
target: its value is no progress. The gradient is 0 (one of the subgradients) where neighbours are equal, not the NaN
of a plain square root. Source: Rudin, Osher and Fatemi 1992, doi:10.1016/0167-2789(92)90242-F.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "TotalVariation", "total_variation"]


def total_variation(input: Tensor, *, isotropic: bool = False, reduction: str = "mean") -> Tensor:
    """Total variation of images ``input`` [N, C, H, W] per sample, over C·H·W.

    ``isotropic`` takes the length of both differences at a pixel (0 behind the last row or column). ``reduction``
    "none" gives [N]. float16 and bfloat16 are computed and returned in float32.

    >>> import torch
    >>> float(total_variation(torch.tensor([[[[0.0, 3.0], [4.0, 0.0]]]])))  # (3 + 4) + (4 + 3) over 4
    3.5
    """
    if input.dim() != 4:
        raise BadUsage("input must be [N, C, H, W]", seen=str(tuple(input.shape)))
    (input,) = full_precision(input)
    down = F.pad(input.diff(dim=2), (0, 0, 0, 1))
    right = F.pad(input.diff(dim=3), (0, 1))
    if isotropic:
        squares = down.square() + right.square()
        flat = squares == 0
        each = squares.masked_fill(flat, 1.0).sqrt().masked_fill(flat, 0.0)
    else:
        each = down.abs() + right.abs()
    return reduce(each.flatten(1).mean(1), reduction)


TotalVariation = as_module(total_variation, "TotalVariation")

SPEC = LossSpec(
    name="total_variation",
    title="total variation",
    also=("TV",),
    family="generative",
    task="penalty",
    formula=r"\frac1{CHW}\sum|\partial_x u|+|\partial_y u|",
    input_space="values",
    function=total_variation,
    module=TotalVariation,
    arguments=(Argument("input", "values", axes="N 1 H W"),),
    variants=({"isotropic": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="at constant images",
    value_is_progress=False,
    claims=(Claim("convex"), Claim("permutation-equivariant"), Claim("shift-invariant")),
    denominator="number of samples, and of elements of each",
    floor=zero_floor,
    references=("https://doi.org/10.1016/0167-2789(92)90242-F",),
)
