"""The Hessian of the loss in the predictions, sample by sample."""

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.operators.linearisation import Linearisation

MOST_OUTPUTS = 128
"""Outputs per sample above which one backward pass for each is too many."""


def loss_hessians(batch: Linearisation, samples: int, most_outputs: int = MOST_OUTPUTS) -> Tensor:
    """∂²ℓ/∂f_i² of every sample, [n, C, C]; ``NotReadable`` where it is no such block for each sample.

    In single precision at least, since half precision has no eigenvalues.
    """
    outputs = sum(p[0].numel() for p in batch.predictions)
    if outputs > most_outputs:
        raise NotReadable("too many outputs per sample for one backward pass each", seen=str(outputs))
    columns = []
    for c in range(outputs):
        unit = batch.predictions[0].new_zeros(samples, outputs)
        unit[:, c] = 1.0
        columns.append(joined(batch.curve(split(unit, batch)), samples))
    found = torch.stack(columns, 2)
    found = found.to(torch.promote_types(found.dtype, torch.float32))
    alone = torch.zeros_like(found[:, :, 0])
    alone[0] = 1.0
    apart = joined(batch.curve(split(alone, batch)), samples)[1:]
    if samples > 1 and float(apart.abs().max()) > 1e-6 * float(found.abs().max()):
        raise NotReadable("the loss couples the samples", seen="one prediction changes the slope at others")
    return (found + found.transpose(1, 2)) / 2


def split(rows: Tensor, batch: Linearisation) -> list[Tensor]:
    """[n, C] as a list in the shapes of the predictions."""
    pieces = rows.split([p[0].numel() for p in batch.predictions], 1)
    return [piece.reshape(p.shape).to(p.dtype) for piece, p in zip(pieces, batch.predictions, strict=True)]


def joined(values: list[Tensor], samples: int) -> Tensor:
    """A list in the shapes of the predictions as [n, C]."""
    return torch.cat([v.reshape(samples, -1) for v in values], 1)
