"""Targets that are a part of the input: a column of a table, or the input's own tokens moved on.

A column counts where it equals the target in every sample; for class labels, where it is the label up to scale and
offset, as after standardising. Tokens count where the target at each position is the input token ``shift`` positions
on: 0 the token itself, 1 the next one, as a language model has it. Cost: a few passes over at most a million
elements.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.probes.batches import classes
from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import Turns
from losscope.recording import signals

_LIMIT, _ROWS = 1 << 20, 16
_SHIFTS, _LEAST = range(4), 4
_ROUNDING = 1e-6


class Copies(Probe):
    """Records TARGET_COLUMN and TARGET_SHIFT."""

    def __init__(self) -> None:
        self._turns = Turns(every=8)

    def objective(self, sample: Sample) -> None:
        anatomy = sample.anatomy
        if not self._turns.mine(sample.stream):
            return
        for index, term in enumerate(anatomy.terms if anatomy else ()):
            if anatomy is None or term.target is None or term.target.is_complex():
                continue
            label = f"{sample.stream}/{index}"
            column = column_of(anatomy.inputs, term)
            if column is not None:
                sample.record(signals.TARGET_COLUMN, column, label)
            shift = shift_of(anatomy.inputs, term)
            if shift is not None:
                sample.record(signals.TARGET_SHIFT, shift, label)


def column_of(inputs: Sequence[Tensor], term: Term) -> Tensor | None:
    """The first column of a table ``[N, D]``, D > 1, that tells the targets ``[N]``; -1: none; ``None``: no table."""
    target = term.target
    tables = [t for t in inputs if t.ndim == 2 and t.shape[1] > 1 and t.shape[0] >= _ROWS]
    if target is None or not target.ndim or target.numel() != target.shape[0]:
        return None
    table = next((t for t in tables if t.shape[0] == target.shape[0] and t.numel() <= _LIMIT), None)
    if table is None:
        return None
    wide, wanted = table.detach().double(), target.detach().reshape(-1, 1).double()
    if classes(term) is None:
        found = (wide == wanted).all(0)
    else:
        wide, centred = wide - wide.mean(0), wanted - wanted.mean()
        scale = wide.norm(dim=0) * centred.norm()
        found = ((wide * centred).sum(0).abs() >= (1 - _ROUNDING) * scale) & (scale > 0)
    varies = wanted.amax() > wanted.amin()
    first = torch.where(found.any(), found.to(torch.uint8).argmax(), -1)
    return torch.where(varies, first, -1).double()


def shift_of(inputs: Sequence[Tensor], term: Term) -> Tensor | None:
    """How many positions on the targets are the input's own tokens; -1 for none; ``None``: no tokens."""
    target = term.target
    if target is None or target.dtype.is_floating_point:
        return None
    for tokens in inputs:
        if tokens.ndim == 2 and not tokens.dtype.is_floating_point and tokens.numel() <= _LIMIT:
            ignored = term.options.get("ignore_index", -100)
            pairs = list(_layouts(tokens.detach(), target.detach()))
            if pairs:
                found = torch.stack([_shifts(x, y, ignored) for x, y in pairs]).any(0)
                return torch.where(found.sum() == 1, found.to(torch.uint8).argmax(), -1).double()
    return None


def _layouts(tokens: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and targets as ``[batch, time]``, whichever axis of theirs is the time; the last one or two may be cut."""
    for x in (tokens, tokens.T):
        batch, time = x.shape
        for length in (time, time - 1, time - 2):
            if length >= _LEAST and target.numel() == batch * length:
                if target.ndim == 2 and target.shape != ((batch, length) if x is tokens else (length, batch)):
                    continue
                yield x, (target.reshape(batch, length) if x is tokens else target.reshape(length, batch).T)


def _shifts(tokens: Tensor, target: Tensor, ignored: int) -> Tensor:
    """By shift: whether all targets that count are the tokens so many positions on."""
    found = []
    for shift in _SHIFTS:
        length = min(target.shape[1], tokens.shape[1] - shift)
        x, y = tokens[:, shift : shift + length], target[:, :length]
        counts = y != ignored
        found.append(((x == y) | ~counts).all() & (counts.sum() >= _LEAST))
    return torch.stack(found)


PROBE = Copies
