"""The two players of an adversarial game that is played with binary cross-entropy."""

from dataclasses import dataclass

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import overlap, streams, updates, values, values_since
from losscope.rules.terms import TermView, terms

_KINDS = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits"})
_CLOSE = 0.2  # of 0 or 1: labels may be smoothed
_LEAST = 100


@dataclass(frozen=True, slots=True)
class Players:
    """Streams of the two; the terms that tell real samples from generated ones, and that of being taken for real."""

    discriminator: str
    generator: str
    judged: tuple[TermView, ...]
    fooled: TermView


def players(recording: Recording) -> Players | None:
    """The discriminator sees targets of 0 and of 1, the generator one of these alone, in turn; else ``None``."""
    found = streams(recording)
    told = {stream: [t for t in terms(recording, stream) if t.kind in _KINDS] for stream in found}
    of_both = [s for s in found if told[s] and _both(recording, told[s])]
    of_one = [
        s for s in found if len(told[s]) == 1 and told[s][0].coefficient > 0 and _one(recording, told[s][0])
    ]
    for judge in of_both:
        for other in of_one:
            enough = min(updates(recording, judge), updates(recording, other)) >= _LEAST
            if enough and overlap(recording, judge, other):
                return Players(judge, other, tuple(told[judge]), told[other][0])
    return None


def late(recording: Recording, signal: Signal, label: str) -> Floats:
    """Finite values of the last half of the run."""
    return values_since(recording, signal, label, updates(recording, label.partition("/")[0]) / 2)


def _both(recording: Recording, found: list[TermView]) -> bool:
    """Both labels occur, in one term over the joined batches or in one term for each."""
    lows = [values(recording, signals.TARGET_MIN, term.label) for term in found]
    highs = [values(recording, signals.TARGET_MAX, term.label) for term in found]
    known = [float(np.median(side)) for side in (*lows, *highs) if side.size]
    return bool(known) and min(known) < _CLOSE and max(known) > 1 - _CLOSE


def _one(recording: Recording, term: TermView) -> bool:
    """The label is the same for every sample of every batch, and says "real"."""
    means = values(recording, signals.TARGET_MEAN, term.label)
    spreads = values(recording, signals.TARGET_STD, term.label)
    return bool(means.size and spreads.size) and float(means.min()) > 1 - _CLOSE and float(spreads.max()) == 0
