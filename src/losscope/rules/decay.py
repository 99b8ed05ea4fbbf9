"""Weight decay as an optimiser applies it: of which parameters, how strongly, and how much of each update it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import events_of, updates, values

_DECOUPLED = frozenset({"AdamW", "Muon", "Lion", "SGDW", "AdaBelief", "Adan", "LionW", "NAdamW", "RAdamW"})
_PLAIN = frozenset({"SGD", "ASGD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """The decayed parameters of a stream together.

    ``kind``: *decoupled* shrinks θ by ηλ per update, *plain* adds λθ to the gradient of SGD (the same, by
    ηλ/(1 − momentum)), *scaled* adds it before an adaptive optimiser divides by its own estimate of the size.
    ``exponent`` is Σ ηλ over the run: decay alone would have left e^−exponent of the first weights (``nan`` where
    *scaled*). Per sampled update: norm of the parameters, the step that is decay, the measured step, the
    gradient's norm.
    """

    kind: str
    factor: float
    exponent: float
    norms: Floats
    pulls: Floats
    moves: Floats
    gradients: Floats

    def shrinkage(self) -> float:
        """Norm at the end over the norm at the start."""
        return float(np.median(self.norms[-3:]) / self.norms[0])


def decay_of(recording: Recording, stream: str) -> Decay | None:
    """``None`` where no optimiser decays, or where fewer than five updates were sampled."""
    events = events_of(recording, "optimizer", stream)
    if not events:
        return None
    event = events[-1]
    names, factor, index = _decayed(event)
    if not names:
        return None
    group = event["groups"][index]
    kind = _kind(str(event.get("name")), group)
    steps, columns = _columns(recording, names)
    if steps.size < 5:
        return None
    norms, moves, gradients = columns
    rates = _rates(recording, f"{stream}/{index}", float(group.get("lr") or 0.0), steps)
    momentum = float(group.get("momentum") or 0.0) if kind == "plain" else 0.0
    per_update = rates * factor / max(1.0 - momentum, 1e-6)
    gaps = np.diff(np.append(steps, updates(recording, stream)))
    exponent = float(np.sum(per_update * gaps)) if kind != "scaled" else float("nan")
    pulls = per_update * norms if kind != "scaled" else np.full_like(norms, np.nan)
    return Decay(
        kind=kind,
        factor=factor,
        exponent=exponent,
        norms=norms,
        pulls=pulls,
        moves=moves,
        gradients=gradients,
    )


def _kind(name: str, group: dict[str, Any]) -> str:
    if group.get("decoupled_weight_decay") or name in _DECOUPLED:
        return "decoupled"
    return "plain" if name in _PLAIN else "scaled"


def _decayed(event: dict[str, Any]) -> tuple[list[str], float, int]:
    """Names of the parameters under the strongest decay, its factor, and its group."""
    groups = event.get("groups") or []
    factors = [float(g.get("weight_decay") or 0.0) for g in groups]
    if not factors or max(factors) <= 0:
        return [], 0.0, 0
    index = int(np.argmax(factors))
    slices = list(_slices(event.get("parameters") or [], groups))
    return slices[index], factors[index], index


def _slices(names: list[str], groups: list[dict[str, Any]]) -> Iterator[list[str]]:
    begin = 0
    for group in groups:
        count = int(group.get("tensors", len(names)))
        yield names[begin : begin + count]
        begin += count


def _columns(
    recording: Recording, names: list[str]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], tuple[Floats, Floats, Floats]]:
    """Root of the sum of squares over the parameters, at the updates where all three norms are known."""
    wanted = (signals.PARAMETER_NORM, signals.UPDATE_NORM_PARAMETER, signals.GRADIENT_NORM_PARAMETER)
    known = [n for n in names if all(len(recording.series(w, n)) for w in wanted)]
    every = [[recording.series(w, n) for w in wanted] for n in known]
    steps = _common([s for three in every for s in three])
    if steps.size == 0:
        return steps, (np.empty(0), np.empty(0), np.empty(0))
    norms, moves, gradients = (
        np.sqrt(np.sum([_at(three[i], steps) ** 2 for three in every], axis=0)) for i in range(3)
    )
    kept = np.isfinite(norms) & np.isfinite(moves) & np.isfinite(gradients) & (norms > 0)
    return steps[kept], (norms[kept], moves[kept], gradients[kept])


def _common(series: list[Series]) -> np.ndarray[Any, np.dtype[np.int64]]:
    if not series:
        return np.empty(0, dtype=np.int64)
    steps = np.unique(series[0].steps)
    for other in series[1:]:
        steps = np.intersect1d(steps, other.steps)
    return steps


def _at(series: Series, steps: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    return series.values[np.searchsorted(series.steps, steps)]


def _rates(
    recording: Recording, label: str, first: float, steps: np.ndarray[Any, np.dtype[np.int64]]
) -> Floats:
    """The learning rate at these updates: the last one recorded at or before each."""
    series = recording.series(signals.LEARNING_RATE, label)
    if len(series) == 0:
        return np.full(steps.size, first)
    at = np.searchsorted(series.steps, steps, side="right") - 1
    return np.where(at >= 0, series.values[np.maximum(at, 0)], series.values[0])


def radial_gain(recording: Recording, stream: str) -> Floats:
    """−⟨g, θ⟩ on the sampled updates of the last half of the samples."""
    found = values(recording, signals.RADIAL_GAIN, stream)
    return found[found.size // 2 :]
