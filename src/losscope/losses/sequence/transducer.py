"""Transducer (RNN-T) loss: -ln of the total probability of all monotonic alignments of labels and frames.

At lattice point (t, u), frame t with u labels already said, the model either says label u + 1 (t stays) or the blank
(on to frame t + 1). The value is -ln of the summed probability of all paths that say the labels and end with the
blank in the last frame. Unlike CTC, probabilities may depend on the labels said so far, several labels fit into one
frame, and every target has an alignment. 0 in the limit of one sure path. "mean" is over sequences, without division
by lengths, as torchaudio's ``rnnt_loss`` does; long sequences weigh more. Computed in logarithms over the diagonals t
+ u of the lattice: T + U vectorised steps; the memory is that of the scores. Trap: scores [N, T, U, C] are large, and
a label equal to the blank is not refused. Source: Graves 2012, arXiv:1211.3711, eq. 16-20.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "TransducerLoss", "transducer_loss"]

_NEVER = -1e30
"""ln of the probability of what cannot happen; finite, so that its gradient is 0 and not NaN."""


def transducer_loss(
    logits: Tensor,
    labels: Tensor,
    frame_lengths: Tensor,
    label_lengths: Tensor,
    *,
    blank: int = 0,
    reduction: str = "mean",
) -> Tensor:
    """Transducer loss of ``logits`` [N, T, S + 1, C] against ``labels`` [N, S].

    ``frame_lengths`` [N] from 1 to T, ``label_lengths`` [N] from 0 to S: what lies behind them does not count, NaN
    included. ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in float32. Lengths and
    labels that are too large raise. Graves, arXiv:1211.3711.

    >>> one = torch.tensor([1])
    >>> z = torch.zeros(1, 2, 2, 3)  # two frames, one label: two paths of three steps of probability 1/3
    >>> round(float(transducer_loss(z, torch.tensor([[2]]), 2 * one, one)), 6) == round(math.log(27 / 2), 6)
    True
    """
    if logits.dim() != 4 or labels.shape != (logits.shape[0], logits.shape[2] - 1):
        raise BadUsage(
            "logits must be [N, T, S + 1, C] and labels [N, S]",
            seen=f"{tuple(logits.shape)} and {tuple(labels.shape)}",
        )
    (logits,) = full_precision(logits)
    _, frames, positions, _ = logits.shape
    t = torch.arange(frames, device=logits.device)[:, None]
    u = torch.arange(positions, device=logits.device)
    last_t, last_u = frame_lengths.long() - 1, label_lengths.long()
    padded = (t > last_t[:, None, None]) | (u > last_u[:, None, None])
    log_p = logits.masked_fill(padded[..., None], 0.0).log_softmax(-1)
    said = labels.long().masked_fill(u[:-1] >= last_u[:, None], 0)
    emit = log_p[:, :, :-1].gather(-1, said[:, None, :, None].expand(-1, frames, -1, -1))[..., 0]
    stay = log_p[..., blank]
    final = stay.gather(1, last_t[:, None, None].expand(-1, 1, positions))[:, 0].gather(1, last_u[:, None])
    reached = _forward(_diagonals(stay), _diagonals(emit))
    there = reached.gather(1, (last_t + last_u)[:, None, None].expand(-1, 1, positions))[:, 0]
    return reduce(-(there.gather(1, last_u[:, None]) + final)[:, 0], reduction)


def _diagonals(x: Tensor) -> Tensor:
    """[N, T, U] as [N, T + U', U] with entry (d, u) = x[d - u, u]; ``_NEVER`` outside of the lattice."""
    frames, positions = x.shape[1:]
    d = torch.arange(frames + positions, device=x.device)[:, None]
    t = d - torch.arange(positions, device=x.device)
    outside = (t < 0) | (t >= frames)
    return x.gather(1, t.clamp(0, frames - 1).expand(x.shape[0], -1, -1)).masked_fill(outside, _NEVER)


def _forward(stay: Tensor, emit: Tensor) -> Tensor:
    """ln of the probability of reaching each lattice point, by diagonals [N, T + U, U]."""
    never = torch.full_like(stay[:, 0, :1], _NEVER)
    row = torch.cat([torch.zeros_like(never), never.expand(-1, stay.shape[2] - 1)], 1)
    rows = [row]
    for d in range(stay.shape[1] - 2):
        said = torch.cat([never, row[:, :-1] + emit[:, d]], 1)
        row = torch.stack([row + stay[:, d], said]).logsumexp(0)  # logaddexp has NaN second derivatives here
        rows.append(row)
    return torch.stack(rows, 1)


TransducerLoss = as_module(transducer_loss, "TransducerLoss")

SPEC = LossSpec(
    name="transducer",
    title="transducer loss (RNN-T)",
    also=("RNN-T", "RNN transducer"),
    family="sequence",
    task="sequence",
    formula=r"-\ln\sum_{\pi\in\mathcal A(y)}\prod_i p(\pi_i\mid t_i,u_i)",
    input_space="logits",
    function=transducer_loss,
    module=TransducerLoss,
    arguments=(
        Argument("logits", "lattice-logits"),
        Argument("labels", "labels"),
        Argument("frame_lengths", "frame-lengths"),
        Argument("label_lengths", "label-lengths"),
    ),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of one sure path",
    unit="nats",
    elicits="distribution",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False, why="a sum over alignments, as in any mixture"),
    ),
    denominator="number of sequences",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1211.3711",),
)
