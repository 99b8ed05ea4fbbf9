"""ZLPR for many labels: ln(1 + Σ_{i∈N} e^{s_i}) + ln(1 + Σ_{i∈P} e^{-s_i}), P the labels of a sample, N the others.

The generalisation of cross-entropy to any number of labels: every label is ranked above every non-label, and the
threshold between them is 0, so prediction is s > 0 without tuning. Rare labels need no weights, as there is one
logarithm for all negatives. Convex and additive over samples, but it couples the labels of a sample: its scores are no
log-odds, σ(s) is no probability. With one column it is the logistic loss; s = 0 costs ln(1 + |N|) + ln(1 + |P|).
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "ZLPRLoss", "zlpr_loss"]

_MAX_ROWS = 4096


def zlpr_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """ln(1 + Σ_N e^s) + ln(1 + Σ_P e^-s) of scores ``input`` [N, C, …] and ``target`` 0 or 1, of one shape.

    Labels are along axis 1; ``reduction`` "none" gives [N, …]. A target above ½ is a label. float16 and bfloat16 are
    computed and returned in float32. Raises ``BadUsage`` where the shapes differ. Su et al. 2022, arXiv:2208.02955.

    >>> import torch
    >>> round(float(zlpr_loss(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))), 4)  # ln 3 + ln 2
    1.7918
    """
    same_shape(input, target)
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    label = target > 0.5
    zero = torch.zeros_like(input.narrow(axis, 0, 1)) if input.shape[axis] else input.new_zeros(())
    negative = torch.cat([zero, input.masked_fill(label, -torch.inf)], axis).logsumexp(axis)
    positive = torch.cat([zero, (-input).masked_fill(~label, -torch.inf)], axis).logsumexp(axis)
    return reduce(negative + positive, reduction)


ZLPRLoss = as_module(zlpr_loss, "ZLPRLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Fitted to the sample of rows, as it depends on which labels occur together; convex."""
    del options
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    target = torch.from_numpy(rows[:: max(1, len(rows) // _MAX_ROWS)].copy())
    rate = target.mean(0).clamp(1e-6, 1 - 1e-6)
    scores = (rate / (1 - rate)).log().requires_grad_()
    optimiser = torch.optim.LBFGS([scores], max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = zlpr_loss(scores.expand_as(target), target)
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[arg-type]
    losses = zlpr_loss(scores.detach().expand_as(target), target, reduction="none").numpy()
    return Estimate(float(losses.mean()), of_rows(losses, stats))


SPEC = LossSpec(
    name="zlpr",
    title="zero-bounded log-sum-exp and pairwise rank-based loss (ZLPR)",
    family="classification",
    task="multi-label",
    formula=r"\ln\Bigl(1+\sum_{i\in N}e^{s_i}\Bigr)+\ln\Bigl(1+\sum_{i\in P}e^{-s_i}\Bigr)",
    input_space="scores",
    function=zlpr_loss,
    module=ZLPRLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "binary")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="labels above 0, other classes below",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", math.sqrt(2), why="two blocks, each of probabilities that sum to less than 1"),
        Claim("smooth", 0.5, why="λmax of diag(p) - ppᵀ in each block"),
        Claim("strictly-proper", holds=False, why="the sigmoid of a score is no probability"),
    ),
    denominator="number of samples",
    chance=_chance,
    floor=zero_floor,
    references=("https://arxiv.org/abs/2208.02955",),
)
