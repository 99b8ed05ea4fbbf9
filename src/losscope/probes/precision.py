"""Precision: entries of bf16 and fp16 parameters that stand still although their gradient asks for a move.

A number of p significant bits has neighbours at a distance of its size times 2^-p to 2^(1-p): 2⁻⁸ to 2⁻⁷ in bfloat16,
2⁻¹¹ to 2⁻¹⁰ in float16. An update below half of that is rounded away, however often it is made.

Cost: for half-precision parameters alone, two copies of at most 65,536 elements each, and a few comparisons.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals

_HALF = (torch.bfloat16, torch.float16)


class Precision(Probe):
    """Records STALLED_SHARE: of the entries with a gradient, those that neither this update nor those before it moved.

    Entries are compared with the sample before as well, if at least one update lies in between: stochastic
    rounding and compensated sums stand still at most single updates, too, but not in the long run.
    """

    def __init__(self) -> None:
        self._before: list[tuple[str, Tensor, Tensor, Tensor]] = []
        self._last: dict[str, tuple[Tensor, int]] = {}

    def before_update(self, sample: Sample) -> None:
        self._before = [
            (name, p, part(p), part(p.grad) != 0)
            for name, p in zip(sample.names, sample.parameters, strict=True)
            if p.dtype in _HALF and p.grad is not None and not p.grad.is_sparse
        ]

    def after_update(self, sample: Sample) -> None:
        before, self._before = self._before, []
        stalled: list[Tensor] = []
        asked: list[Tensor] = []
        for name, parameter, old, moves in before:
            now = part(parameter)
            earlier, step = self._last.get(name, (old, sample.step))
            if step < sample.step and earlier.shape == now.shape:
                stalled.append(((now == old) & (now == earlier) & moves).sum())
                asked.append(moves.sum())
            self._last[name] = now, sample.step
        if asked:
            device = asked[0].device
            counts = [torch.stack([c.to(device) for c in found]).sum() for found in (stalled, asked)]
            share = counts[0] / counts[1]  # nan where nothing was asked for
            sample.record(signals.STALLED_SHARE, share.double())


PROBE = Precision
