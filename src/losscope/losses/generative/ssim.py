"""SSIM loss 1 - SSIM: structural similarity of images in a sliding Gaussian window.

SSIM = (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)) at every place of the window, from local
means, variances and the covariance, C₁ = (k₁ L)², C₂ = (k₂ L)² for a range L of values; then the mean over places and
channels. 0 for equal images, at most 2 (structure of the opposite sign). The constants keep it and its gradient
finite on constant images. Not convex; it sees local contrast and structure, hardly a small common shift: mix it with
L1. Traps: L must fit the data (1, 2 or 255); libraries differ in window, padding (none here) and channel handling, so
that values do not compare. Variances are taken of differences to the image's mean: a plain E[x²] - E[x]² loses them
in float32. Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861; as a loss: arXiv:1511.08861.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, outside_autocast, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "SSIMLoss", "ssim_loss"]


def ssim_loss(
    input: Tensor,
    target: Tensor,
    *,
    data_range: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    reduction: str = "mean",
) -> Tensor:
    """1 - SSIM of images ``input`` and ``target`` [N, C, H, W] per sample.

    ``data_range`` L is the range of values, ``window`` the side of the Gaussian window (odd, not larger than the
    image), ``sigma`` its width in pixels. ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` where shapes do not fit.

    >>> x = torch.linspace(0, 1, 144).reshape(1, 1, 12, 12)
    >>> float(ssim_loss(x, x))
    0.0
    """
    require_positive(sigma=sigma, data_range=data_range)
    same_shape(input, target)
    if input.dim() != 4 or min(input.shape[2:]) < window:
        raise BadUsage(
            "images must be [N, C, H, W], no smaller than the window", seen=str(tuple(input.shape))
        )
    x, y = full_precision(input, target)
    y = y.to(x.dtype)
    places = torch.arange(window, dtype=x.dtype, device=x.device) - (window - 1) / 2
    weights = (-places.square() / (2 * sigma**2)).softmax(0)

    def blur(image: Tensor) -> Tensor:
        with outside_autocast(image):
            rows = F.conv2d(image.flatten(0, 1)[:, None], weights[None, None, :, None])
            return F.conv2d(rows, weights[None, None, None, :])[:, 0].unflatten(0, image.shape[:2])

    mean_x, mean_y = blur(x), blur(y)
    dx, dy = (image - image.detach().mean((2, 3), keepdim=True) for image in (x, y))
    near_x, near_y = blur(dx), blur(dy)
    var_x, var_y = blur(dx.square()) - near_x.square(), blur(dy.square()) - near_y.square()
    covariance = blur(dx * dy) - near_x * near_y
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2)
    return reduce(1 - (top / bottom).flatten(1).mean(1), reduction)


SSIMLoss = as_module(ssim_loss, "SSIMLoss")

SPEC = LossSpec(
    name="ssim",
    title="SSIM loss",
    family="generative",
    task="generative",
    formula=r"1-\frac{(2\mu_x\mu_y+C_1)(2\sigma_{xy}+C_2)}{(\mu_x^2+\mu_y^2+C_1)(\sigma_x^2+\sigma_y^2+C_2)}",
    input_space="values",
    function=ssim_loss,
    module=SSIMLoss,
    arguments=(Argument("input", "mask-probabilities"), Argument("target", "unit", axes="N 1 H W")),
    sizes={"H": 12, "W": 12},
    variants=({"window": 5, "sigma": 1.0}, {"reduction": "sum"}),
    range=(0.0, 2.0),
    attained="where the images are equal",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
    ),
    denominator="number of samples, of places of the window and of channels",
    floor=zero_floor,
    exceptions={"floor": "it is reached at equal images, which a descent from random ones seldom finds"},
    references=("https://doi.org/10.1109/TIP.2003.819861", "https://arxiv.org/abs/1511.08861"),
)
