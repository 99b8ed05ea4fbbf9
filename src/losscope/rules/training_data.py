"""What is known of the batches that a stream was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import epochs, where


@dataclass(frozen=True, slots=True)
class Loader:
    """A data loader that fed training; ``batches`` of one pass, where that is known."""

    sampler: str
    samples: int | None
    batches: int | None
    where: Where | None

    @property
    def in_order(self) -> bool:
        """Whether each pass has the samples in the order of the data set."""
        return self.sampler == "SequentialSampler"


def training_loaders(recording: Recording) -> list[Loader]:
    """The loaders that fed training; empty where the script makes batches by hand."""
    return [
        Loader(str(e.get("sampler")), _whole(e.get("samples")), _whole(e.get("batches")), where(e))
        for e in recording.events_of("loader")
    ]


def one_loader(recording: Recording) -> Loader | None:
    """The loader that fed training, where there was one, or one kind of them, made anew for each pass."""
    found = training_loaders(recording)
    kinds = {(f.sampler, f.samples, f.batches) for f in found}
    return found[0] if len(kinds) == 1 else None


def passed(recording: Recording) -> bool:
    """Whether one pass over the data has ended, or the script makes its batches by hand."""
    return epochs(recording) >= 1 or not training_loaders(recording)


def is_one(prints: Floats) -> bool:
    """Whether all of at least three fingerprints are the same."""
    return prints.size >= 3 and bool(np.ptp(prints) == 0)


def vary(prints: Floats) -> bool:
    """Whether fingerprints are of at least three different batches: looks may meet the same one of each pass."""
    return np.unique(prints).size >= 3


def class_table(recording: Recording, label: str) -> Floats:
    """Targets by class in each sampled batch of a term, ``[batches, classes]``; classes are modulo 32."""
    prefix = f"{label}/"
    names = [n for n in recording.labels(signals.TARGET_CLASS) if n.startswith(prefix)]
    return _table(recording, names)


def _table(recording: Recording, names: Sequence[str]) -> Floats:
    columns = [recording.series(signals.TARGET_CLASS, name) for name in names]
    if not columns:
        return np.zeros((0, 0))
    steps = sorted({int(s) for c in columns for s in c.steps})
    place = {step: i for i, step in enumerate(steps)}
    table = np.zeros((len(steps), len(columns)))
    for k, column in enumerate(columns):
        table[[place[int(s)] for s in column.steps], k] = column.values
    return table


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int) and value > 0 else None
