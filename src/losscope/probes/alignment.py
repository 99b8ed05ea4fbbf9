"""Alignment of successive gradients: cos(g_t, g_{t+1}) = ⟨g_t, g_{t+1}⟩ / (‖g_t‖‖g_{t+1}‖).

Near −1 the iterates jump from one wall of a valley to the other (the step exceeds 2/λmax along a steep
direction); near +1 the step is small against the curvature; near 0 noise decides. Compared on the same
evenly spaced part of every parameter.

Cost: one copy of at most 65,536 elements per parameter on the sampled update, one inner product on the
next. Source: the sign structure is that of gradient descent on a quadratic, g_{t+1} = (I − ηH) g_t.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals


class Alignment(Probe):
    """Records ALIGNMENT at the sampled update's step."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, list[Tensor | None]]] = {}

    def gradients(self, sample: Sample) -> None:
        self._last[sample.stream] = (sample.step, _parts(sample))

    def following(self, sample: Sample) -> None:
        step, before = self._last.pop(sample.stream, (-1, []))
        now = _parts(sample)
        pairs = [(a, b) for a, b in zip(before, now, strict=False) if a is not None and b is not None]
        if step != sample.step - 1 or len(before) != len(now) or not pairs:
            return
        device = pairs[0][0].device
        inner = torch.stack([(a.double() * b).sum().to(device) for a, b in pairs]).sum()
        norms = [torch.stack([x[k].double().square().sum().to(device) for x in pairs]).sum() for k in (0, 1)]
        sample.sink.record(signals.ALIGNMENT, sample.stream, step, inner / (norms[0] * norms[1]).sqrt())


def _parts(sample: Sample) -> list[Tensor | None]:
    gradients = [p.grad for p in sample.parameters]
    return [part(g) if g is not None and not g.is_sparse and not g.is_complex() else None for g in gradients]


PROBE = Alignment
