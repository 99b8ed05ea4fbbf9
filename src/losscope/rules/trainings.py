"""Several trainings in one script, one after another: folds, seeds, settings that are tried.

Streams that overlap in time belong to one training (the players of a GAN, say); others are trainings of their own.
Each is judged by itself, as if it were the whole run, and the worst one is shown. Trainings with under a tenth of
the longest one's updates do not count.
"""

from losscope.core.finding import SEVERITIES
from losscope.core.text import Message, Text
from losscope.core.verdict import Verdict
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.streams import overlap, streams, updates

MOST = 24
"""Trainings that are judged: of more, so many that lie evenly between the first and the last."""

_SHARE = 0.1
_STATES = ("healthy", "not-enough-evidence", "suspicious", "wrong")
_SHOWN = Text(
    en="Training {number} of {count}, the others are no worse: {sentence}",
    zh="共 {count} 次训练，此为第 {number} 次（其余不比它差）：{sentence}",
)
_SOME = Text(
    en="Training {number} of {count}, the worst of {judged} that were judged: {sentence}",
    zh="共 {count} 次训练，此为第 {number} 次（已评判 {judged} 次，此次最差）：{sentence}",
)


def trainings(recording: Recording) -> list[tuple[str, ...]]:
    """The streams of each training, in order of time."""
    groups: list[list[str]] = []
    for stream in streams(recording):
        joined = [g for g in groups if any(overlap(recording, stream, other) for other in g)]
        groups = [g for g in groups if g not in joined] + [[stream, *(s for g in joined for s in g)]]
    sizes = [max(updates(recording, s) for s in group) for group in groups]
    kept = [tuple(sorted(g)) for g, size in zip(groups, sizes, strict=True) if size >= _SHARE * max(sizes)]
    return sorted(kept, key=lambda group: min(_begin(recording, stream) for stream in group))


def judged(found: list[tuple[str, ...]]) -> list[int]:
    """Places of the trainings that are judged."""
    if len(found) <= MOST:
        return list(range(len(found)))
    return sorted({round(i * (len(found) - 1) / (MOST - 1)) for i in range(MOST)})


def badness(verdict: Verdict) -> tuple[int, int, int]:
    """Larger is worse: the state, then the number of errors, then of warnings."""
    counts = [sum(f.severity == s for f in verdict.findings) for s in SEVERITIES[:2]]
    return _STATES.index(verdict.state), counts[0], counts[1]


def introduced(sentence: Message, number: int, count: int) -> Message:
    """The sentence about training ``number`` of ``count``, which says so."""
    if count > MOST:
        return _SOME(number=number, count=count, judged=MOST, sentence=sentence)
    return _SHOWN(number=number, count=count, sentence=sentence)


def _begin(recording: Recording, stream: str) -> float:
    times = recording.series(signals.STEP_TIME, stream).values
    return float(times[0]) if len(times) else 0.0
