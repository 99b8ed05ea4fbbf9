"""Radial gain: −⟨g, θ⟩, by how much the loss would fall per relative growth of all weight matrices together.

With θ(s) = s·θ the chain rule gives −dL/d(ln s) = −⟨∇L, θ⟩ at s = 1. It is zero at every stationary point of the
loss, and identically zero for weights whose scale does not matter (behind a normalisation: Euler's theorem for
functions of degree 0). At a stationary point of L + λ/2·‖θ‖² it is λ‖θ‖²: what the decay holds back. Only
parameters of two or more axes count.

Cost: one inner product of at most 65,536 elements per parameter; larger tensors are represented by every k-th
element and scaled by k.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals


class RadialGain(Probe):
    """Records RADIAL_GAIN from the gradient that the update uses."""

    def gradients(self, sample: Sample) -> None:
        inner = [_inner(p, p.grad) for p in sample.parameters if p.grad is not None and _counts(p, p.grad)]
        if inner:
            sample.record(signals.RADIAL_GAIN, -torch.stack([x.to(inner[0].device) for x in inner]).sum())


def _counts(parameter: Tensor, gradient: Tensor) -> bool:
    return parameter.ndim >= 2 and not gradient.is_sparse and not parameter.is_complex()


def _inner(parameter: Tensor, gradient: Tensor) -> Tensor:
    thinned = part(parameter.detach())
    scale = parameter.numel() / max(thinned.numel(), 1)
    return (thinned.double() * part(gradient.detach()).double()).sum() * scale


PROBE = RadialGain
