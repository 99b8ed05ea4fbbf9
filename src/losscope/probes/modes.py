"""Modes: whether batch normalisation and dropout of a training forward pass train or evaluate.

Batch normalisation tells by its node in the autograd graph, of layers whose scale and shift are trained; dropout, which
leaves no node where it is off, by the calls of its function since the last look.
"""

from typing import Any

from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_MOST = 64


class Modes(Probe):
    """Records NORM_SAMPLES and writes a ``modes`` event whenever training begins to evaluate or to train."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[bool, bool]] = {}
        self._count = 0

    def objective(self, sample: Sample) -> None:
        layers = sample.anatomy.layers if sample.anatomy else None
        if layers is None:
            return
        off, on = sample.dropouts
        training = [n for n in layers.norms if n.training]
        evaluating = [n for n in layers.norms if not n.training]
        if training:
            sample.record(signals.NORM_SAMPLES, float(min(n.samples for n in training)))
        if not (off or on or layers.norms):
            return
        all_evaluate = not on and not training
        intended = all_evaluate and sample.eval_in_train()
        state = all_evaluate, intended
        if self._last.get(sample.stream) == state or self._count >= _MOST:
            return
        self._last[sample.stream] = state
        self._count += 1
        untouched = [bool(n.untouched) for n in evaluating if n.untouched is not None]
        told: dict[str, Any] = {"norms": [len(evaluating), len(training)], "dropouts": [off, on]}
        place = sample.where
        sample.sink.event(
            "modes",
            stream=sample.stream,
            step=sample.step,
            evaluating=all_evaluate,
            intended=intended,
            untouched=bool(untouched) and all(untouched),
            where={"file": place.file, "line": place.line} if place else None,
            **told,
        )


PROBE = Modes
