"""Padding in the targets: a class that fills the ends of sequences and stands nowhere else.

Batches of sequences of different lengths are filled up with one class. Its places have a form that no label has by
chance: in every row nothing follows it. Targets are often flattened, [N, L] or [L, N] to [N·L], so the rows are found
again. With rows one after another every stretch of the class ends at a multiple of L: L is the greatest common divisor
of these ends and of the length. With time first, m_i implies m_(i+N) for one divisor N of the length.

Not told: sorted labels (at most two different lengths), one class for the rest of a row after an onset (the labels
before it do not go up and down), and a class that is not the most frequent one.

Cost: a copy of the targets to the host, as for the chance level, for the first eight sampled updates of a term.
"""

from math import gcd

import numpy as np
from numpy.typing import NDArray

from losscope.anatomy.anatomy import Term
from losscope.probes.probe import Probe, Sample
from losscope.recording import signals

_LOOKS = 8
_LIMIT = 1 << 17  # elements; larger targets are not looked at
_ROWS, _STEPS = 4, 3  # fewer rows, or shorter ones, show nothing
_LENGTHS = 3  # different numbers of padded places: sorted labels have two at most
_KINDS = frozenset({"class", None})


class Padding(Probe):
    """Records PADDING_SHARE, 0 where there is none, and PADDING_CLASS."""

    def __init__(self) -> None:
        self._looks: dict[str, int] = {}

    def objective(self, sample: Sample) -> None:
        for index, term in enumerate(sample.anatomy.terms if sample.anatomy else ()):
            label = f"{sample.stream}/{index}"
            targets = _targets(term)
            if targets is None or self._looks.get(label, 0) >= _LOOKS:
                continue
            self._looks[label] = self._looks.get(label, 0) + 1
            found = padding(targets)
            sample.record(signals.PADDING_SHARE, found[1] if found else 0.0, label)
            if found:
                sample.record(signals.PADDING_CLASS, float(found[0]), label)


def _targets(term: Term) -> NDArray[np.int64] | None:
    """Classes by index that count equally; ``None`` for others."""
    target = term.target
    if target is None or target.is_floating_point() or target.is_complex() or term.sample_weight is not None:
        return None
    target = target.squeeze()  # of [N, C, L] the loss keeps [N, 1, L]
    if term.options.get("target") not in _KINDS or not 1 < target.numel() <= _LIMIT or target.ndim > 2:
        return None
    return target.cpu().numpy().astype(np.int64)


def padding(targets: NDArray[np.int64]) -> tuple[int, float] | None:
    """(class, its share) where the most frequent class fills the ends of rows; ``None`` where it does not."""
    flat = targets.reshape(-1)
    if flat.min() < 0:  # some targets are marked as not to be learnt
        return None
    counts = np.bincount(flat) if flat.max() < _LIMIT else np.zeros(1)
    dominant = int(counts.argmax())
    if not 0 < counts[dominant] < flat.size:
        return None
    filled = flat == dominant
    rows = _rows(filled) if targets.ndim == 1 else _shaped(filled, targets.shape)
    if rows is None:
        return None
    labels = flat.reshape(rows[0]) if rows[1] else flat.reshape(rows[0]).T
    told = _is_padding(labels == dominant) and _goes_up_and_down(labels, dominant)
    return (dominant, float(counts[dominant] / flat.size)) if told else None


def _shaped(filled: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[tuple[int, int], bool] | None:
    """Which axis of [a, b] is time: the one along which nothing follows the class."""
    table = filled.reshape(shape)
    for rows_first, along in ((True, 1), (False, 0)):
        if not (np.diff(table.astype(np.int8), axis=along) < 0).any():
            return (shape[0], shape[1]), rows_first
    return None


def _rows(filled: NDArray[np.bool_]) -> tuple[tuple[int, int], bool] | None:
    """The shape that flattened targets had, and whether its rows are sequences; ``None`` where none fits."""
    size = filled.size
    ends = np.flatnonzero(filled[:-1] & ~filled[1:]) + 1
    length = gcd(size, *ends.tolist()) if ends.size >= _ROWS else 1
    if length >= _STEPS:
        return (size // length, length), True
    for width in range(_ROWS, size // _STEPS + 1):
        if size % width == 0 and not (filled[:-width] & ~filled[width:]).any():
            return (size // width, width), False
    return None


def _is_padding(table: NDArray[np.bool_]) -> bool:
    """Rows [N, L] of which half or more are filled, with different lengths."""
    lengths = table.sum(1)
    enough = table.shape[0] >= _ROWS and table.shape[1] >= _STEPS
    return enough and len(np.unique(lengths)) >= _LENGTHS and float(np.mean(lengths > 0)) >= 0.5


def _goes_up_and_down(labels: NDArray[np.int64], dominant: int) -> bool:
    """Whether what is not padding is a sequence of labels, which rises and falls, and no rest after an onset."""
    kept = labels != dominant
    steps = np.diff(labels, axis=1) * (kept[:, 1:] & kept[:, :-1])
    return min(int((steps > 0).sum()), int((steps < 0).sum())) >= _ROWS


PROBE = Padding
