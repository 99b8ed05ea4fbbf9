"""z-loss: the square of the log-partition ln Σ exp z, which keeps the logits of a softmax near a fixed scale.

Cross-entropy does not see a common shift of all scores; in low precision they drift until they are rounded away. A
term of about 10⁻⁴ times this loss holds ln Σ exp z at 0 (so that z are log-probabilities). It takes no target and is
0 where the scores are normalised, not where they are right: its value is no progress. Not convex where the
log-partition is negative. The same with the router's scores is used in mixtures of experts. Sources: arXiv:2204.02311
(PaLM, sec. 5), arXiv:2202.08906 (router z-loss, eq. 5).
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ZLoss", "z_loss"]


def z_loss(input: Tensor, mask: Tensor | None = None, *, reduction: str = "mean") -> Tensor:
    """(ln Σ_k exp z_k)² over the last axis of ``input`` [..., C]; ``mask`` [...] is 0 at tokens that do not count.

    "mean" divides by the number of tokens that count; NaN in the scores of the others reaches nothing. float16 and
    bfloat16 are computed and returned in float32.

    >>> import torch
    >>> float(z_loss(torch.randn(3, 5).log_softmax(-1))) < 1e-12
    True
    """
    (input,) = full_precision(input)
    if mask is not None:
        if mask.shape != input.shape[:-1]:
            raise BadUsage(
                "mask must have the shape of input without its last axis",
                seen=f"{tuple(mask.shape)} and {tuple(input.shape)}",
            )
        input = input.masked_fill((mask == 0)[..., None], 0.0)
    return reduce(input.logsumexp(-1).square(), reduction, mask)


ZLoss = as_module(z_loss, "ZLoss")

SPEC = LossSpec(
    name="z_loss",
    title="z-loss",
    family="sequence",
    task="penalty",
    formula=r"\Bigl(\ln\sum_k e^{z_k}\Bigr)^2",
    input_space="logits",
    function=z_loss,
    module=ZLoss,
    arguments=(Argument("input", "logits"),),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where the scores are normalised",
    value_is_progress=False,
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", holds=False, why="concave directions where the log-partition is negative"),
        Claim("shift-invariant", holds=False, why="it is there to fix the shift"),
        Claim("lipschitz", 1.0, holds=False, why="grows with the scores"),
    ),
    denominator="number of tokens that count",
    floor=zero_floor,
    references=("https://arxiv.org/abs/2204.02311", "https://arxiv.org/abs/2202.08906"),
)
