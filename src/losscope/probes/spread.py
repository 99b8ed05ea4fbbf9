"""How much a prediction differs between samples, relative to its size.

For a prediction [N, …] with elements f: sqrt(mean_f var_n / mean_{n,f} p²), between 0 (one answer for all samples) and
about 1. Unlike the spread over all elements it tells a constant vector from a varied one, and it does not depend on
scale. Cost: two passes over at most a million elements.
"""

import torch
from torch import Tensor

from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_LIMIT = 1 << 20  # elements looked at
_TASKS = frozenset({"regression", "embedding"})


class Spread(Probe):
    """Records PREDICTION_VARIATION for regressions and similarities of at least two samples."""

    def objective(self, sample: Sample) -> None:
        for index, term in enumerate(sample.anatomy.terms if sample.anatomy else ()):
            prediction = term.prediction
            if prediction is None or term.spec is None or term.spec.task not in _TASKS:
                continue
            if prediction.ndim and prediction.shape[0] > 1 and prediction.is_floating_point():
                sample.record(signals.PREDICTION_VARIATION, spread(prediction), f"{sample.stream}/{index}")


def spread(prediction: Tensor) -> Tensor:
    """The relative spread over the first axis; 0 for a prediction that is 0 everywhere."""
    rows = prediction.detach().reshape(prediction.shape[0], -1)[:, : max(1, _LIMIT // prediction.shape[0])]
    wide = rows.to(torch.float32) if rows.dtype != torch.float64 else rows
    size = wide.square().mean()
    return torch.where(size > 0, (wide.var(0, correction=0).mean() / size).sqrt(), 0.0)


PROBE = Spread
