"""Batches: fingerprints of inputs and targets, how different the samples are, and the classes of the targets.

A fingerprint is a fixed random projection Σ w_i x_i in float64 of an evenly spaced part of the tensor: equal batches
have equal fingerprints to the last bit, others different ones but for a chance of about 2⁻⁵⁰. Classes are counted
modulo 32, which keeps every test of whether batches are drawn alike. Cost: a few passes over at most 65,536 elements.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.probes.probe import Probe, Sample
from losscope.probes.thinning import part
from losscope.recording import signals

CLASSES = 32
_LIMIT, _SAMPLES = 1 << 18, 32
_IRRATIONAL = 0.6180339887498949


class Batches(Probe):
    """Records INPUT_PRINT, INPUT_SPREAD, TARGET_PRINT and TARGET_CLASS."""

    def __init__(self) -> None:
        self._weights: dict[tuple[int, torch.device], Tensor] = {}

    def objective(self, sample: Sample) -> None:
        if sample.anatomy is None:
            return
        inputs = [t for t in sample.anatomy.inputs if not t.is_complex()]
        if inputs:
            sample.record(signals.INPUT_PRINT, self._print(inputs))
            rows = {t.target.shape[0] for t in sample.anatomy.terms if t.target is not None and t.target.ndim}
            batched = [t for t in inputs if t.ndim > 1 and t.shape[0] > 1 and t.shape[0] in rows]
            if batched:
                sample.record(signals.INPUT_SPREAD, spread(batched[0]))
        for index, term in enumerate(sample.anatomy.terms):
            target = term.target
            if target is None or not target.numel() or target.is_complex():
                continue
            label = f"{sample.stream}/{index}"
            sample.record(signals.TARGET_PRINT, self._print([target]), label)
            known = classes(term)
            if known is not None:
                names = [f"{label}/{k}" for k in range(min(CLASSES, known[1]))]
                sample.sink.record_many(signals.TARGET_CLASS, names, sample.step, class_counts(*known))

    def _print(self, tensors: Sequence[Tensor]) -> Tensor:
        total = None
        for place, tensor in enumerate(tensors, 1):
            values = part(tensor).to(torch.float32 if tensor.device.type == "mps" else torch.float64)
            found = place * (values * self._weight(values)).sum() + tensor.numel()
            total = found if total is None else total + found.to(total.device)
        assert total is not None
        return total

    def _weight(self, values: Tensor) -> Tensor:
        key = (values.numel(), values.device)
        if key not in self._weights:
            if len(self._weights) > 8:
                self._weights.clear()
            # The fractional parts of multiples of the golden ratio's inverse are spread evenly, and no two are equal.
            places = torch.arange(1, values.numel() + 1, dtype=values.dtype, device=values.device)
            self._weights[key] = (places * _IRRATIONAL).frac() + 0.5
        return self._weights[key]


def classes(term: Term) -> tuple[Tensor, int] | None:
    """Class indices, one for each sample, and the number of classes, where targets are that; -1 does not count.

    For scores ``[N, C]`` with indices ``[N]``, or one score for each sample with a 0 or 1.
    """
    target, shape, task = term.target, term.prediction_shape, term.spec.task if term.spec else ""
    if target is None or not target.ndim or target.numel() != target.shape[0]:
        return None
    flat = target.reshape(-1)
    if task == "multi-class" and not target.dtype.is_floating_point and len(shape) == 2 and target.ndim == 1:
        ignored = term.options.get("ignore_index", -100)
        return torch.where(flat == ignored, -1, flat.long()), shape[1]
    if task == "binary" and shape in ((flat.numel(),), (flat.numel(), 1)):
        return (flat > 0.5).long(), 2
    return None


def class_counts(indices: Tensor, count: int) -> Tensor:
    """How many of the indices are of each class, modulo 32; as float32, without negative ones."""
    kept = torch.where(indices < 0, CLASSES, indices.remainder(CLASSES))
    counts = torch.zeros(CLASSES + 1, dtype=torch.float32, device=indices.device)
    return counts.scatter_add_(0, kept, torch.ones_like(kept, dtype=torch.float32))[: min(CLASSES, count)]


def spread(rows: Tensor) -> Tensor:
    """Largest difference within a column over the samples (axis 0) by the largest number; 0 of equal samples.

    Of more than 262,144 elements, 32 samples are looked at, and an evenly spaced part of each.
    """
    flat = rows.detach().reshape(rows.shape[0], -1)
    if flat.numel() > _LIMIT:
        flat = flat[:: -(-flat.shape[0] // _SAMPLES)]
        flat = flat[:, :: -(-flat.numel() // _LIMIT)]
    wide = flat.to(torch.float64 if flat.dtype == torch.float64 else torch.float32)
    low, high = torch.aminmax(wide, dim=0)
    return (high - low).amax() / wide.abs().amax().clamp(min=torch.finfo(wide.dtype).tiny)


PROBE = Batches
