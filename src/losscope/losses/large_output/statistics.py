"""What an output layer's predictions are worth, streamed over the classes: likelihood, entropy, accuracy, Brier score.

One pass makes the scores of a block once and updates, next to the running maximum m and Σ of the online softmax, the
sums from which all four follow: with u = z - m and E = eᵘ,

    nll = ln ΣE + m - z_y,  entropy = ln ΣE - ΣEu / ΣE,  Brier = ΣE² / (ΣE)² - 2 p_y + 1,  accuracy = [argmax z = y].

When the maximum rises by δ, ΣEu becomes e^-δ (ΣEu - δΣE) and ΣE² becomes e^-2δ ΣE².
"""

from typing import NamedTuple

import torch
from torch import Tensor

from losscope.losses.large_output.head import LOG2_E, Batch, Head, Settings, check, make_head
from losscope.losses.large_output.streaming import LN_2, OnlineSoftmax, capped_, pick, scores_

__all__ = ["HeadStatistics", "linear_cross_entropy_statistics"]

_NOTHING = -2000.0
"""2^-2000 is 0 in every precision."""


class HeadStatistics(NamedTuple):
    """Means over the samples that count (or one value per sample, 0 for those that do not).

    ``nll`` and ``entropy`` in nats; ``accuracy`` is top-1, ties go to the first class; ``brier`` is
    Σ_k (p_k - [k = y])² in [0, 2]; ``samples`` is the number of samples that count.
    """

    nll: Tensor
    entropy: Tensor
    accuracy: Tensor
    brier: Tensor
    samples: int


@torch.no_grad()
def linear_cross_entropy_statistics(
    input: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    *,
    ignore_index: int = -100,
    softcap: float | None = None,
    reduction: str = "mean",
    chunk_rows: int | None = None,
) -> HeadStatistics:
    """Negative log-likelihood, entropy, top-1 accuracy and Brier score of ``input @ weight.T + bias`` in one pass.

    Arguments as for :func:`~losscope.losses.large_output.linear_cross_entropy.linear_cross_entropy`. Memory: one block
    of scores. Not differentiable. A mean over nothing is 0, with ``samples`` 0.

    >>> x, w = torch.ones(2, 3), torch.zeros(4, 3)
    >>> s = linear_cross_entropy_statistics(x, w, torch.tensor([0, 1]))
    >>> [round(float(v), 4) for v in s[:4]]  # ln 4, ln 4, ½, ¾
    [1.3863, 1.3863, 0.5, 0.75]
    """
    settings = Settings(0.0, ignore_index, 0.0, softcap, reduction, chunk_rows)
    check(Batch(input, weight, bias, None, target), settings)
    rows, labels = input.reshape(-1, input.shape[-1]), target.reshape(-1).long()
    with torch.autocast(input.device.type, enabled=False):
        head = make_head(Batch(rows, weight, bias, None, labels), settings)
        columns = [_chunk(head, chunk) for chunk in head.chunks()] or [head.share.new_zeros(0, 4)]
    table = head.counted(torch.cat(columns))
    if reduction == "none":
        parts = head.spread(table).reshape(*target.shape, 4).unbind(-1)
    else:
        parts = (table.sum(0) * head.scale()).unbind(0)
    return HeadStatistics(*parts, samples=len(table) if head.counts is None else int(head.counts.sum()))


def _chunk(head: Head, rows: slice) -> Tensor:
    """[k, 4]: nll, entropy, hit and Brier score of the samples of one chunk."""
    x, y = head.input[rows].to(head.dtype), head.target[rows, None]
    factor = LOG2_E if head.settings.softcap is None else 1 / head.settings.softcap
    softmax, scaled = OnlineSoftmax(x), x * factor
    label, tilted, squares = (torch.zeros_like(softmax.peak) for _ in range(3))
    best = torch.zeros_like(y)
    buffer = x.new_empty(x.shape[0] * head.columns)
    for block in head.blocks():
        w, b = head.part(block)
        z = scores_(buffer[: x.shape[0] * w.shape[0]].view(x.shape[0], -1), scaled, w, b, factor)
        if head.settings.softcap is not None:
            capped_(z, head.settings.softcap)
        label = pick(z, y - block.start, label)
        highest, where = z.max(1, keepdim=True)
        best = torch.where(highest > softmax.peak, where + block.start, best)
        step = softmax.centre_(z)
        shrink = step.exp2()
        z.clamp_(min=_NOTHING)  # 0 · -∞ would not be 0
        e = z.exp2()
        tilted = shrink * (tilted + step * softmax.total) + (e * z).sum(1, keepdim=True)
        squares = shrink.square() * squares + e.square().sum(1, keepdim=True)
        softmax.total = softmax.total * shrink + e.sum(1, keepdim=True)
    nll = softmax.surprise(label) * LN_2
    entropy = (softmax.total.log2() - tilted / softmax.total) * LN_2
    brier = squares / softmax.total.square() - 2 * (-nll).exp() + 1
    return torch.cat([nll, entropy, (best == y).to(nll.dtype), brier], 1)
