"""Path data inside a view box of 1000 × 1000, from positions in [0, 1]; gaps where a value is missing."""

import numpy as np

SIZE = 1000.0


def _shown(value: float) -> str:
    text = f"{value * SIZE:.1f}"
    return text[:-2] if text.endswith(".0") else text


def runs(present: np.ndarray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every unbroken stretch of true values.

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.r_[False, present, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def line_path(x: np.ndarray, y: np.ndarray) -> str:
    """A polyline for each unbroken stretch; a lone point becomes a dash that round caps make a dot."""
    parts = []
    for start, end in runs(np.isfinite(x) & np.isfinite(y)):
        points = " ".join(f"{_shown(a)} {_shown(b)}" for a, b in zip(x[start:end], y[start:end], strict=True))
        parts.append(f"M{points}" + ("h.1" if end - start == 1 else ""))
    return "".join(parts)


def area_path(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """The closed area between two curves, one piece for each unbroken stretch."""
    parts = []
    for start, end in runs(np.isfinite(x) & np.isfinite(low) & np.isfinite(high)):
        there = [f"{_shown(a)} {_shown(b)}" for a, b in zip(x[start:end], high[start:end], strict=True)]
        back = [f"{_shown(a)} {_shown(b)}" for a, b in zip(x[start:end], low[start:end], strict=True)]
        parts.append("M" + " ".join(there + back[::-1]) + "z")
    return "".join(parts)
