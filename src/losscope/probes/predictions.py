"""Predictions and targets: mean, standard deviation and range of both; accuracy for class targets.

Predictions are as the graph keeps them: log-probabilities for cross-entropy, outputs for regression.
Accuracy is the share of samples whose largest output, over the class axis, is the target class;
targets equal to ``ignore_index`` do not count.
"""

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_LIMIT = 1 << 22  # elements looked at; larger predictions are represented by their leading rows

_PREDICTION = (
    signals.PREDICTION_MEAN,
    signals.PREDICTION_STD,
    signals.PREDICTION_MIN,
    signals.PREDICTION_MAX,
)
_TARGET = (signals.TARGET_MEAN, signals.TARGET_STD, signals.TARGET_MIN, signals.TARGET_MAX)


class Predictions(Probe):
    """Records PREDICTION_*, TARGET_* and ACCURACY for every term that has them."""

    def objective(self, sample: Sample) -> None:
        for index, term in enumerate(sample.anatomy.terms if sample.anatomy else ()):
            label = f"{sample.stream}/{index}"
            for tensor, names in ((term.prediction, _PREDICTION), (term.target, _TARGET)):
                if tensor is not None and tensor.numel() and not tensor.is_complex():
                    for signal, value in zip(names, _moments(_leading(tensor)), strict=True):
                        sample.record(signal, value, label)
            accuracy = _accuracy(term)
            if accuracy is not None:
                sample.record(signals.ACCURACY, accuracy, label)


def _leading(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.numel() > _LIMIT and tensor.ndim:
        tensor = tensor[: max(1, _LIMIT // max(1, tensor[0].numel()))]
    return tensor


def _moments(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    wide = tensor.to(torch.float32) if tensor.dtype != torch.float64 else tensor
    deviation, mean = torch.std_mean(wide, correction=0)
    low, high = torch.aminmax(wide)
    return mean, deviation, low, high


def _accuracy(term: Term) -> Tensor | None:
    """Class axis 1 for [N, C, …], the only axis for [C]; None where the target is no class index."""
    prediction, target = term.prediction, term.target
    if prediction is None or target is None or target.is_floating_point() or target.is_complex():
        return None
    axis = 1 if prediction.ndim == target.ndim + 1 and prediction.ndim > 1 else 0
    if prediction.ndim != target.ndim + 1 or prediction.shape[axis] < 2:
        return None
    if prediction.shape[:axis] + prediction.shape[axis + 1 :] != target.shape:
        return None
    counted = target != term.options.get("ignore_index", -100)
    right = (prediction.argmax(axis) == target) & counted
    return right.sum() / counted.sum().clamp(min=1)


PROBE = Predictions
