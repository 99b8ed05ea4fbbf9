"""Evaluation passes as rules see them: which were on held-out data."""

from losscope.recording import signals
from losscope.recording.reader import Recording, Series
from losscope.rules.statistics.robust import finite


def held_out_labels(recording: Recording) -> list[str]:
    """Labels of evaluation series over data other than the training loader; "unknown" counts as other.

    The same data evaluated under two labels stay two series. Longest series first.
    """
    loaders = {str(e.get("label")): str(e.get("loader")) for e in recording.events_of("evaluation")}
    kept = [label for label in recording.labels(signals.EVALUATION_LOSS) if loaders.get(label) != "train"]
    known_first = sorted(kept, key=lambda label: loaders.get(label) != "other")
    return sorted(known_first, key=lambda label: -len(recording.series(signals.EVALUATION_LOSS, label).steps))


def held_out(recording: Recording) -> Series | None:
    """The longest held-out evaluation series with a finite value."""
    for label in held_out_labels(recording):
        series = recording.series(signals.EVALUATION_LOSS, label)
        if finite(series.values).size:
            return series
    return None
