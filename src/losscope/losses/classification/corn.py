"""CORN for ordered classes: binary cross-entropies of P(y > k | y ≥ k), each over the samples that reach level k.

The sum over levels is exactly -ln P(y) of the continuation-ratio model P(y = c) = Π_{k<c} σ(z_k) · σ(-z_c), so the loss
is a proper log-likelihood in nats with the label entropy as chance level, and the K-1 outputs need no constraint to
give a distribution over ranks. Convex in the scores. Predict with cumulative products: P(y > k) = Π_{j≤k} σ(z_j); the
predicted rank is the number of these above ½. Traps: σ(z_k) alone is no P(y > k); K classes need K-1 outputs, so an
output of width K silently adds a class. The authors' program divides by the number of answered questions, not samples.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import class_chance, log_classes
from losscope.losses.classification.ordinal import exceeded
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options

__all__ = ["SPEC", "CORNLoss", "corn_loss"]


def _reached(above: Tensor, axis: int) -> Tensor:
    """1 where y ≥ k, from the indicators of y > k."""
    first = torch.ones_like(above.narrow(axis, 0, 1))
    return torch.cat([first, above.narrow(axis, 0, above.shape[axis] - 1)], axis)


def corn_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """-ln P(y) of scores ``input`` [N, K-1, …] for P(y > k | y ≥ k) and ranks ``target`` [N, …] in 0 … K-1.

    ``reduction`` "none" gives [N, …]. float16 and bfloat16 are computed and returned in float32. Shi, Cao & Raschka,
    2021, arXiv:2111.08851; the model: Fienberg & Mason 1979.

    >>> import torch
    >>> z = torch.zeros(3, 2)
    >>> corn_loss(z, torch.tensor([0, 1, 2]), reduction="none").exp()  # 1 / (½, ¼, ¼)
    tensor([2., 4., 4.])
    """
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    above = exceeded(target, input)
    questions = F.binary_cross_entropy_with_logits(input, above, reduction="none")
    return reduce((_reached(above, axis) * questions).sum(axis), reduction)


CORNLoss = as_module(corn_loss, "CORNLoss")


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """σ(z_k) - [y > k] where y ≥ k, else 0."""
    del options
    above = exceeded(target, input)
    return _reached(above, 1) * (input.sigmoid() - above)


def _logit_hessian(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """Diagonal: σ(1 - σ) where y ≥ k."""
    del options
    return torch.diag_embed(_reached(exceeded(target, input), 1) * input.sigmoid() * (-input).sigmoid())


SPEC = LossSpec(
    name="corn",
    title="CORN (conditional ordinal regression)",
    family="classification",
    task="ordinal",
    formula=r"-\sum_{k<y}\ln\sigma(z_k)-[y<K-1]\ln\sigma(-z_y)",
    input_space="logits",
    function=corn_loss,
    module=CORNLoss,
    arguments=(Argument("input", "logits", axes="N 4"), Argument("target", "ordinal-index")),
    sizes={"C": 5},
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of infinite margins",
    unit="nats",
    elicits="conditional probabilities P(y > k | y ≥ k)",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 2.0, why="√(K - 1), here of K = 5 classes"),
        Claim("smooth", 0.25),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of samples",
    chance=class_chance,
    floor=zero_floor,
    normaliser=log_classes,
    references=("https://arxiv.org/abs/2111.08851",),
)
