"""Reach: which parameters the loss depends on, which the optimiser holds, and how the two differ.

The loss's autograd graph says what it depends on; the optimiser's groups say what will be updated.
Sets are accumulated over the sampled updates, since a model may use its branches in turn.
"""

from losscope.probes.probe import Probe, Sample


class Reach(Probe):
    """Writes a ``reach`` event whenever the accumulated sets change."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, set[str]]] = {}

    def gradients(self, sample: Sample) -> None:
        if sample.reached_names is None:
            return
        sets = self._seen.setdefault(sample.stream, {"reached": set(), "held": set(), "frozen": set()})
        before = {key: len(value) for key, value in sets.items()}
        sets["reached"].update(sample.reached_names)
        sets["held"].update(sample.held_names)
        sets["frozen"].update(sample.frozen_names)
        if before == {key: len(value) for key, value in sets.items()}:
            return
        reached, held, frozen = sets["reached"], sets["held"], sets["frozen"]
        sample.sink.event(
            "reach",
            stream=sample.stream,
            step=sample.step,
            reached=sorted(reached),
            held=sorted(held),
            held_not_reached=sorted(held - reached - frozen),
            reached_not_held=sorted(reached - held),
            frozen=sorted(frozen),
        )


PROBE = Reach
