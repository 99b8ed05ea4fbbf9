"""Binary Brier score (σ(z) - t)² of logits, per element.

Strictly proper like binary cross-entropy but bounded by 1. The best constant is the rate r of positives and costs
r(1 - r): ¼ for balanced labels, so a value of 0.25 is chance and 0.09 is chance at 10 % positives. Not convex in z;
where the model is certainly wrong the gradient vanishes (2σ(1-σ)(σ-t)), so a bad start can stay. Half the two-class
``brier``. ``F.mse_loss(z.sigmoid(), t)`` is the same value.
"""

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import variance_chance, zero_floor
from losscope.losses.spec import LossSpec, Options

__all__ = ["SPEC", "BinaryBrierLoss", "binary_brier_loss"]


def binary_brier_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(σ(z) - t)² of logits ``input`` and ``target`` in [0, 1], of one shape.

    Computed as (t·σ(-z) - (1 - t)·σ(z))², which keeps its digits near 0. float16 and bfloat16 are computed and returned
    in float32. Raises ``BadUsage`` where the shapes differ. Brier 1950.

    >>> import torch
    >>> float(binary_brier_loss(torch.zeros(2), torch.tensor([0.0, 1.0])))
    0.25
    """
    same_shape(input, target)
    (input,) = full_precision(input)
    target = target.to(input.dtype)
    return reduce((target * torch.sigmoid(-input) - (1 - target) * torch.sigmoid(input)).square(), reduction)


BinaryBrierLoss = as_module(binary_brier_loss, "BinaryBrierLoss")


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    del options
    p = input.sigmoid()
    return 2 * p * (1 - p) * (p - target)


def _logit_hessian(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """Diagonal: 2p(1-p)·(p(1-p) + (1-2p)(p-t))."""
    del options
    p = input.sigmoid()
    slope = p * (1 - p)
    return torch.diag_embed(2 * slope * (slope + (1 - 2 * p) * (p - target)))


SPEC = LossSpec(
    name="binary_brier",
    title="binary Brier score",
    family="classification",
    task="binary",
    formula=r"(\sigma(z)-t)^2",
    input_space="logits",
    function=binary_brier_loss,
    module=BinaryBrierLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "unit")),
    variants=({"reduction": "sum"},),
    range=(0.0, 1.0),
    attained="where σ(z) equals the target; for targets of 0 and 1 in the limit of an infinite margin",
    elicits="probability",
    claims=(
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
        Claim("lipschitz", 8 / 27, why="2p(1-p)|p - t|, largest for t = 0 at p = ⅔"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    chance=variance_chance,
    floor=zero_floor,
    normaliser=lambda _: 0.25,
    references=("https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",),
)
