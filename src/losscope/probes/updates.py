"""Update sizes: ‖Δθ‖ per parameter and ‖Δθ‖/‖θ‖ over all, by comparing parameters before and after.

Measured, not derived from the learning rate, so that it is right for every optimiser, for weight decay
and for updates made by hand. Tensors above 65,536 elements are represented by every k-th element:
norms are scaled by √k, ratios need no correction.

So is the inner product of Δθ and the gradient that was in place before it. Its cosine is −1 for a step of gradient
descent, and positive where the update climbs, whatever signs and options made it so. The *promised fall* −⟨g, Δθ⟩ is
the first-order change of the loss over the update, with the gradient that the update used (clipped, if it was): η‖g‖²
for gradient descent. That is not measured where the backward pass runs inside ``step(closure)``, which may move more
than once.

Cost: two copies of at most 65,536 elements per parameter, three norms and an inner product.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part, part_of_gradient
from losscope.recording import signals


class Updates(Probe):
    """Records UPDATE_NORM_PARAMETER, UPDATE_RATIO, UPDATE_ALONG and PROMISED_FALL."""

    def __init__(self) -> None:
        self._before: list[Tensor] = []
        self._gradients: list[Tensor | None] = []
        self._given: tuple[str, int] | None = None  # the update whose gradient stood there before it began
        self._known = False

    def gradients(self, sample: Sample) -> None:
        self._given = sample.stream, sample.step

    def before_update(self, sample: Sample) -> None:
        self._before = [part(p) for p in sample.parameters]
        self._gradients = [part_of_gradient(p) for p in sample.parameters]
        self._known = self._given == (sample.stream, sample.step)

    def after_update(self, sample: Sample) -> None:
        before, self._before = self._before, []
        gradients, self._gradients = self._gradients, []
        if not before or len(before) != len(sample.parameters):
            return
        device = before[0].device
        moved, sizes, along = [], [], []
        for old, gradient, parameter in zip(before, gradients, sample.parameters, strict=True):
            scale = max(parameter.numel() / max(old.numel(), 1), 1.0) ** 0.5
            difference = part(parameter).sub_(old)
            change = torch.linalg.vector_norm(difference, dtype=_precise(old)) * scale
            if gradient is not None:
                inner, slope = _products(difference, gradient)
                along.append(torch.stack([inner * scale**2, change**2, slope**2 * scale**2]).to(device))
            moved.append(change.to(device=device, dtype=torch.float64))
            sizes.append(
                (torch.linalg.vector_norm(old, dtype=_precise(old)) * scale).to(device, torch.float64)
            )
        moves, norms = torch.stack(moved), torch.stack(sizes)
        sample.sink.record_many(signals.UPDATE_NORM_PARAMETER, sample.names, sample.step, moves)
        changed = moves > 0
        ratio = (moves * changed).norm() / (norms * changed).norm()
        sample.record(signals.UPDATE_RATIO, torch.where(changed.any(), ratio, torch.zeros_like(ratio)))
        if along:
            inner, changes, slopes = torch.stack(along).sum(0)
            sample.record(signals.UPDATE_ALONG, inner / (changes * slopes).sqrt())
            if self._known:
                sample.record(signals.PROMISED_FALL, -inner)


def _products(difference: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """⟨Δθ, g⟩ and ‖g‖ of one parameter."""
    inner = torch.dot(difference.reshape(-1).double(), gradient.reshape(-1).double())
    return inner, torch.linalg.vector_norm(gradient, dtype=torch.float64)


def _precise(tensor: Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64


PROBE = Updates
