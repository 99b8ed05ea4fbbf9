"""Which objective a rule looks at, its loss, and whether the value of that loss measures progress."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from losscope.core.finding import NotJudged, Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.recording.signals import Signal
from losscope.rules import reasons
from losscope.rules.statistics.robust import Floats, finite

_USUAL = (0.95, 0.9, 0.8)
"""Shares of the run in which the usual spacing is not exceeded: fewer where a hole in the record leaves too little."""
_ENOUGH = 2 * reasons.MIN_VALUES


def streams(recording: Recording) -> list[str]:
    """Streams with a loss, the one with the most updates first; of equals the lowest label first."""
    return sorted(recording.labels(signals.LOSS), key=lambda label: (-updates(recording, label), label))


def main_stream(recording: Recording) -> str | None:
    """The stream with the most updates, or ``None`` where no loss was seen."""
    found = streams(recording)
    return found[0] if found else None


def updates(recording: Recording, stream: str) -> int:
    """Updates of the stream: the last step + 1 of its loss and its clock, since either may be thinned."""
    found = (recording.series(signal, stream).steps for signal in (signals.LOSS, signals.STEP_TIME))
    return max((int(steps.max()) + 1 for steps in found if len(steps)), default=0)


def losses(recording: Recording, stream: str) -> Floats:
    """Finite loss values of a stream at evenly spaced updates, in order."""
    return loss_series(recording, stream).values


def loss_series(recording: Recording, stream: str) -> Series:
    """The same with their updates.

    The watch thins its sampling where it would cost too much; then the earlier, denser part is thinned to the
    spacing of the rest, so that a share of the values is a share of the run.
    """
    series = evenly(recording.series(signals.LOSS, stream))
    good = np.isfinite(series.values)
    return series if good.all() else Series(series.steps[good], series.values[good])


def evenly(series: Series) -> Series:
    """The first record of every stretch as long as the widest usual spacing; the series itself where it is even.

    Usual is the spacing in nearly all of the *run*: counted in updates, not in records, of which a dense beginning
    has most. Stretches, not multiples of the spacing: after each deep sample the watch counts its stride anew.
    """
    gaps = np.diff(series.steps)
    if len(series) < 3 or gaps.min() < 0:
        return series
    found = series
    for share in _USUAL:
        stride = _spacing(gaps, share)
        if stride <= 1 or gaps.min() >= stride:
            return series
        stretch = (series.steps - series.steps[0]) // stride
        kept = np.concatenate([[True], np.diff(stretch) > 0])
        found = Series(series.steps[kept], series.values[kept])
        if len(found) >= _ENOUGH:
            break
    return found


def _spacing(gaps: NDArray[np.int64], share: float) -> int:
    """The smallest spacing that is not exceeded in this share of the run."""
    lengths = np.sort(gaps)
    covered = np.cumsum(lengths)
    return int(lengths[np.searchsorted(covered, share * covered[-1])])


def values(recording: Recording, signal: Signal, label: str) -> Floats:
    """Finite values of one series; empty where it is absent."""
    return finite(recording.series(signal, label).values)


def values_since(recording: Recording, signal: Signal, label: str, step: float) -> Floats:
    """The finite values of a series from a step on."""
    series = recording.series(signal, label)
    return series.values[(series.steps >= step) & np.isfinite(series.values)]


def optimizer_groups(recording: Recording, stream: str) -> list[dict[str, Any]]:
    """The parameter groups of all optimisers of a stream."""
    return [g for event in events_of(recording, "optimizer", stream) for g in event.get("groups") or ()]


def last(recording: Recording, signal: Signal, label: str) -> float | None:
    """The last finite value of a series."""
    found = values(recording, signal, label)
    return float(found[-1]) if found.size else None


def events_of(recording: Recording, kind: str, stream: str | None = None) -> list[dict[str, Any]]:
    """Events of a kind, of one stream where ``stream`` is given; an event without a stream belongs to all."""
    found = recording.events_of(kind)
    return [e for e in found if stream is None or str(e.get("stream", stream)) == stream]


def where(event: dict[str, Any]) -> Where | None:
    """The user's line in an event, where it was recorded."""
    place = event.get("where")
    if isinstance(place, dict) and place.get("file"):
        return Where(str(place["file"]), int(place.get("line") or 0))
    return None


def line_of(recording: Recording, stream: str, *kinds: str) -> Where | None:
    """The user's line in the first event of these kinds that has one, in the order of the kinds."""
    events = (event for kind in kinds for event in events_of(recording, kind, stream))
    return next((place for event in events if (place := where(event)) is not None), None)


def epochs(recording: Recording) -> int:
    """Completed passes over the training loader; the last one counts where the script finished."""
    begun = len(recording.series(signals.EPOCH, ""))
    ends = recording.events_of("script-end")
    finished = bool(ends) and ends[-1].get("status") in {"finished", "exit"}
    return max(0, begun if finished else begun - 1)


def coupled(recording: Recording) -> int:
    """Number of *different* objectives that are trained in alternation, as in a GAN; 1 for ordinary runs.

    Streams count when their updates overlap in time. Two optimisers that share one loss record the same
    values and count once. Streams with under a tenth of the main stream's updates do not count.
    """
    found = streams(recording)
    if len(found) < 2:
        return len(found)
    floor = updates(recording, found[0]) / 10
    distinct: list[str] = []
    for stream in found:
        if updates(recording, stream) < floor or any(
            same_loss(recording, stream, other) for other in distinct
        ):
            continue
        if not distinct or overlap(recording, found[0], stream):
            distinct.append(stream)
    return len(distinct)


def same_loss(recording: Recording, one: str, other: str) -> bool:
    """The first hundred losses of two streams are equal: two optimisers of one objective."""
    first, second = (recording.series(signals.LOSS, s).values[:100] for s in (one, other))
    size = min(len(first), len(second))
    return size > 0 and bool(np.allclose(first[:size], second[:size], rtol=1e-6, atol=0.0, equal_nan=True))


def overlap(recording: Recording, one: str, other: str) -> bool:
    """Whether two streams were minimised at the same time: for over a tenth of the shorter one's duration."""
    times = [values(recording, signals.STEP_TIME, stream) for stream in (one, other)]
    if any(time.size < 2 for time in times):
        return True
    begin, end = max(time[0] for time in times), min(time[-1] for time in times)
    shorter = min(float(time[-1] - time[0]) for time in times)
    return bool(end - begin > 0.1 * shorter)


def progress(recording: Recording, minimum: int = reasons.MIN_UPDATES) -> str | NotJudged:
    """The main stream, where its loss curve may be judged; otherwise the reason why not.

    Not judged are runs without a loss, with fewer than ``minimum`` updates, with several objectives trained
    in alternation (GANs), values that the optimiser makes larger, and those that are no progress (critics, policies).
    """
    stream = main_stream(recording)
    if stream is None:
        return reasons.no_loss()
    seen, known = updates(recording, stream), int(losses(recording, stream).size)
    if seen < minimum:
        return reasons.too_few(seen, minimum)
    if known < reasons.MIN_VALUES:
        return reasons.too_sparse(known, seen)
    rivals = coupled(recording)
    if rivals > 1:
        return reasons.coupled(rivals)
    if is_maximised(recording, stream) is not False:
        return reasons.maximised()
    kind = aimless_kind(recording, stream)
    return reasons.not_progress(kind) if kind else stream


def aimless_kind(recording: Recording, stream: str) -> str | None:
    """The first term kind of the stream whose value does not measure progress, at any look.

    Its contract says so; or its values lie below the floor of a loss of that kind, as those of a policy
    gradient do, which is a cross-entropy whose samples are weighted with both signs.
    """
    for event in events_of(recording, "anatomy", stream):
        for index, term in enumerate(event.get("terms") or ()):
            kind = str(term.get("kind", "?"))
            told = term.get("value_is_progress", (term.get("options") or {}).get("value_is_progress", True))
            if told is False:
                return kind
            label = f"{stream}/{index}"
            if _below_floor(recording, label, term.get("floor")) or _changes_sign(recording, label):
                return f"a signed {kind}"
            if (term.get("options") or {}).get("distribution_form") and _is_reweighted(recording, label):
                return f"a weighted {kind}"
    return None


def is_aimless(recording: Recording, stream: str) -> bool:
    """Whether a smaller value of a stream's loss does not mean a better model: rivals, or a loss of such a kind."""
    return coupled(recording) > 1 or aimless_kind(recording, stream) is not None


def is_maximised(recording: Recording, stream: str) -> bool | None:
    """Whether the optimisers of a stream make its loss larger on purpose; ``None`` where only some groups do."""
    groups = optimizer_groups(recording, stream)
    flags = {bool(group.get("maximize")) for group in groups}
    return None if len(flags) > 1 else flags == {True}


def _changes_sign(recording: Recording, label: str) -> bool:
    """The coefficient of a term has been positive and negative: an advantage in place of a weight."""
    seen = values(recording, signals.TERM_COEFFICIENT, label)
    return bool((seen > 0).any() and (seen < 0).any())


def _is_reweighted(recording: Recording, label: str) -> bool:
    """The coefficient of the log-probabilities of draws differs between updates by more than rounding: a return."""
    seen = values(recording, signals.TERM_COEFFICIENT, label)
    return bool(seen.size and np.ptp(seen) > 1e-2 * np.abs(seen).max())


def _below_floor(recording: Recording, label: str, floor: Any) -> bool:
    """More than a twentieth of the sampled values of a term lie clearly below its floor.

    Each value is held against the floor of its own batch, where that was recorded: that of soft targets varies.
    """
    told = recording.series(signals.TERM_FLOOR, label)
    sampled = recording.series(signals.TERM_VALUE, label)
    _, ours, theirs = np.intersect1d(sampled.steps, told.steps, return_indices=True)
    if ours.size:
        found, floors = sampled.values[ours], told.values[theirs]
    elif isinstance(floor, int | float):
        found, floors = sampled.values, np.full(len(sampled), float(floor))
    else:
        return False
    kept = np.isfinite(found) & np.isfinite(floors)
    found, floors = found[kept], floors[kept]
    if found.size < 5:
        return False
    slack = 1e-3 * float(np.median(np.abs(found)))
    return float(np.mean(found < floors - slack)) > 0.05


def non_finite_end(recording: Recording, stream: str) -> bool:
    """The run ended in numbers that are NaN or infinite: its last loss, or a non-finite loss or parameter
    that the watch reported and after which no finite loss came.
    """
    series = recording.series(signals.LOSS, stream)
    if len(series) == 0:
        return False
    good = series.steps[np.isfinite(series.values)]
    latest = int(good[-1]) if len(good) else -1
    told = [e for e in recording.events_of("non-finite") if e.get("what") in {"loss", "parameter"}]
    reported = any(isinstance(step := event.get("step"), int) and step > latest for event in told)
    return reported or not np.isfinite(series.values[-1])
