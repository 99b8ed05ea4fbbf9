"""Targets of a regression that the last activation of the model cannot reach.

Below zero after a ReLU, beyond one after a tanh: how many there are, and the mean squared distance to the closed range
of the activation by the variance of the targets of the batch. That ratio is the share of the variance that the model
cannot explain whatever its parameters are, as 1 - R². Cost: three passes over the target.
"""

import math

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_RANGES = {
    "exp": (0.0, math.inf),
    "log_sigmoid": (-math.inf, 0.0),
    "log_softmax": (-math.inf, 0.0),
    "relu": (0.0, math.inf),
    "sigmoid": (0.0, 1.0),
    "sin": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
    "softplus": (0.0, math.inf),
    "tanh": (-1.0, 1.0),
}
_LIMIT = 1 << 20  # elements looked at


class Reachable(Probe):
    """Records TARGET_BEYOND and TARGET_BEYOND_VARIANCE for terms of real targets."""

    def objective(self, sample: Sample) -> None:
        for index, term in enumerate(sample.anatomy.terms if sample.anatomy else ()):
            target = _judged(term)
            if target is not None:
                label = f"{sample.stream}/{index}"
                share, ratio = beyond(target, *_RANGES[term.activation or ""])
                sample.record(signals.TARGET_BEYOND, share, label)
                sample.record(signals.TARGET_BEYOND_VARIANCE, ratio, label)


def _judged(term: Term) -> Tensor | None:
    """The targets, where the loss compares them with the activation's output as it is."""
    target, spec = term.target, term.spec
    if target is None or spec is None or spec.task != "regression" or spec.input_space != "values":
        return None
    known = term.activation in _RANGES and target.dtype.is_floating_point and target.numel() > 1
    return target.reshape(-1)[:_LIMIT] if known and term.sample_weight is None else None


def beyond(target: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """(share of ``target`` outside [low, high], mean squared distance to it by the variance); 0 for equal targets."""
    wide = target.to(torch.float32) if target.dtype != torch.float64 else target
    distance = (wide - wide.clamp(low, high)).abs()
    rounding = 4 * torch.finfo(wide.dtype).eps * wide.abs().amax().clamp(min=1.0)
    distance = torch.where(distance > rounding, distance, 0.0)
    variance = wide.var(correction=0)
    ratio = torch.where(variance > 0, distance.square().mean() / variance, 0.0)
    return (distance > 0).to(wide.dtype).mean(), ratio


PROBE = Reachable
