"""Gradient norms: ‖g‖₂ over all parameters and per parameter, and ‖θ‖₂ per parameter.

Measured on the gradient that the optimiser is about to use: after unscaling and clipping. Where the
backward pass runs inside ``step(closure)`` it is measured right after that pass, before any clipping
that the closure does.

Cost: one ``torch._foreach_norm`` over the gradients and one over the parameters, no synchronisation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.recording import signals


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """2-norms of many tensors as one float64 vector on the first one's device."""
    plain = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    norms = torch._foreach_norm(plain)  # pyright: ignore[reportPrivateImportUsage]
    device = norms[0].device
    return torch.stack([n.to(device=device, dtype=torch.float64, non_blocking=True) for n in norms])


class GradientNorms(Probe):
    """Records GRADIENT_NORM, GRADIENT_NORM_PARAMETER and PARAMETER_NORM."""

    def gradients(self, sample: Sample) -> None:
        having = [
            (n, p, g)
            for n, p in zip(sample.names, sample.parameters, strict=True)
            if (g := p.grad) is not None
        ]
        if not having:
            return
        names = [n for n, _, _ in having]
        norms = _norms([g.detach() for _, _, g in having])
        sample.sink.record_many(signals.GRADIENT_NORM_PARAMETER, names, sample.step, norms)
        sample.record(signals.GRADIENT_NORM, norms.norm())
        sizes = _norms([p.detach() for _, p, _ in having])
        sample.sink.record_many(signals.PARAMETER_NORM, names, sample.step, sizes)


PROBE = GradientNorms
