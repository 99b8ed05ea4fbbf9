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
from losscope.probes.thinning import part_of_gradient
from losscope.recording import signals


class Alignment(Probe):
    """Records ALIGNMENT at the sampled update's step."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, list[Tensor | None]]] = {}

    def gradients(self, sample: Sample) -> None:
        self._last[sample.stream] = (sample.step, list(map(part_of_gradient, sample.parameters)))

    def following(self, sample: Sample) -> None:
        step, before = self._last.pop(sample.stream, (-1, []))
        now = list(map(part_of_gradient, sample.parameters))
        pairs = [(a, b) for a, b in zip(before, now, strict=False) if a is not None and b is not None]
        if step != sample.step - 1 or len(before) != len(now) or not pairs:
            return
        device = pairs[0][0].device
        inner = torch.stack([(a.double() * b).sum().to(device) for a, b in pairs]).sum()
        norms = [torch.stack([x[k].double().square().sum().to(device) for x in pairs]).sum() for k in (0, 1)]
        sample.sink.record(signals.ALIGNMENT, sample.stream, step, inner / (norms[0] * norms[1]).sqrt())


PROBE = Alignment
