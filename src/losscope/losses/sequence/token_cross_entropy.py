"""Cross-entropy of a language model over the tokens that count, per token or per sequence.

Scores [N, T, C], labels [N, T]. "mean" has two common meanings, and they differ wherever lengths do: per token, Σ
over all tokens of the batch / their number (long sequences weigh more, and the samples of a batch are coupled:
averaging the means of micro-batches or ranks is another loss), or per sequence, the mean of each sequence's own mean.
With ``shift=True`` the score at position t is held against the label at t + 1, as causal language models with
unshifted labels need; shifting twice, or never, trains the model to copy. The chance level is the entropy of the
token frequencies, ln C the value of equal probabilities, exp of the value the perplexity. A batch without tokens
costs 0 (torch gives NaN); NaN in the scores of ignored tokens reaches nothing.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import class_chance, class_floor, log_classes
from losscope.losses.module import as_module
from losscope.losses.ranges import require_share
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "TokenCrossEntropyLoss", "token_cross_entropy_loss"]


def token_cross_entropy_loss(
    input: Tensor,
    target: Tensor,
    *,
    per: str = "token",
    shift: bool = False,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of ``input`` [N, T, C] logits against ``target`` [N, T] classes, ``ignore_index`` not counted.

    ``per`` "token" or "sequence" says what the mean is taken over: all tokens that count, or sequences with a token
    that counts, each by its own mean. ``shift`` compares position t with label t + 1. ``reduction`` "none" gives [N,
    T] (one less with ``shift``). float16 and bfloat16 are computed and returned in float32. A class outside 0 … C - 1
    raises.

    >>> import torch
    >>> loss = token_cross_entropy_loss(torch.zeros(1, 3, 4), torch.tensor([[0, 2, -100]]))
    >>> round(float(loss) / math.log(4), 6)
    1.0
    """
    require_share(label_smoothing=label_smoothing)
    if input.dim() != 3 or target.shape != input.shape[:2] or per not in ("token", "sequence"):
        raise BadUsage(
            "input must be [N, T, C], target [N, T], and per 'token' or 'sequence'",
            seen=f"{tuple(input.shape)}, {tuple(target.shape)}, {per!r}",
        )
    (input,) = full_precision(input)
    if shift:
        input, target = input[:, :-1], target[:, 1:]
    kept = target != ignore_index
    scores = input.masked_fill(~kept[..., None], 0.0)
    losses = F.cross_entropy(
        scores.movedim(-1, 1),
        target,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    if per == "token" or reduction != "mean":
        return reduce(losses, reduction, kept)
    return reduce(losses.sum(1) / kept.sum(1).clamp(min=1), "mean", kept.any(1))


TokenCrossEntropyLoss = as_module(token_cross_entropy_loss, "TokenCrossEntropyLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Entropy of the token frequencies; with ``shift`` the first token of each sequence is no target: unknown."""
    return None if options.get("shift") else class_chance(stats, options)


SPEC = LossSpec(
    name="token_cross_entropy",
    title="token cross-entropy",
    also=("language modelling", "perplexity"),
    family="sequence",
    task="sequence",
    formula=r"\frac1{\sum_{nt}m_{nt}}\sum_{nt}m_{nt}\bigl(-\ln p_{nt}(y_{nt})\bigr)",
    input_space="logits",
    function=token_cross_entropy_loss,
    module=TokenCrossEntropyLoss,
    arguments=(Argument("input", "logits", axes="N T C"), Argument("target", "class-index", axes="N T")),
    sizes={"T": 4},
    variants=({"per": "sequence"}, {"shift": True}, {"label_smoothing": 0.1}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of infinite margins",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex"),
        Claim("shift-invariant"),
        Claim("smooth", 0.5, why="λmax of diag(p) - ppᵀ for each token"),
    ),
    denominator="number of tokens that count, or each sequence's and then the number of sequences",
    chance=_chance,
    floor=class_floor,
    normaliser=log_classes,
    references=("https://arxiv.org/abs/1910.10683",),
)
