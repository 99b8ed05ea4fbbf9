"""Update sizes: ‖Δθ‖ per parameter and ‖Δθ‖/‖θ‖ over all, by comparing parameters before and after.

Measured, not derived from the learning rate, so that it is right for every optimiser, for weight decay
and for updates made by hand. Tensors above 65,536 elements are represented by every k-th element:
norms are scaled by √k, ratios need no correction.

The *promised fall* −⟨g, Δθ⟩ is the first-order change of the loss over the update, with the gradient that the update
used (clipped, if it was). For gradient descent it is η‖g‖². Not measured where the backward pass runs inside
``step(closure)``, which may move more than once.

Cost: a copy of at most 65,536 elements per parameter, two norms and an inner product.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals


class Updates(Probe):
    """Records UPDATE_NORM_PARAMETER, UPDATE_RATIO and PROMISED_FALL."""

    def __init__(self) -> None:
        self._before: list[Tensor] = []
        self._given: tuple[str, int] | None = None  # the update whose gradient stood there before it began
        self._known = False

    def gradients(self, sample: Sample) -> None:
        self._given = sample.stream, sample.step

    def before_update(self, sample: Sample) -> None:
        self._before = [part(p) for p in sample.parameters]
        self._known = self._given == (sample.stream, sample.step)

    def after_update(self, sample: Sample) -> None:
        before, self._before = self._before, []
        if not before or len(before) != len(sample.parameters):
            return
        device = before[0].device
        moved, sizes, falls = [], [], []
        for old, parameter in zip(before, sample.parameters, strict=True):
            scale = max(parameter.numel() / max(old.numel(), 1), 1.0) ** 0.5
            step = part(parameter).sub_(old)
            change = torch.linalg.vector_norm(step, dtype=_precise(old)) * scale
            moved.append(change.to(device=device, dtype=torch.float64))
            if self._known and _is_usual(parameter):
                inner = (part(parameter.grad) * step).sum(dtype=torch.float64)
                falls.append(-inner.to(device) * scale**2)
            sizes.append(
                (torch.linalg.vector_norm(old, dtype=_precise(old)) * scale).to(device, torch.float64)
            )
        moves, norms = torch.stack(moved), torch.stack(sizes)
        sample.sink.record_many(signals.UPDATE_NORM_PARAMETER, sample.names, sample.step, moves)
        changed = moves > 0
        ratio = (moves * changed).norm() / (norms * changed).norm()
        sample.record(signals.UPDATE_RATIO, torch.where(changed.any(), ratio, torch.zeros_like(ratio)))
        if falls:
            sample.record(signals.PROMISED_FALL, torch.stack(falls).sum())


def _is_usual(parameter: Tensor) -> bool:
    gradient = parameter.grad
    return gradient is not None and not (gradient.is_sparse or gradient.is_complex())


def _precise(tensor: Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64


PROBE = Updates
