"""Chance level and floor of losses of Bernoulli probabilities, one per output column."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.classification.entropy import binary_entropy
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

Options = Mapping[str, Any]
_MAX_COLUMNS = 64
_SIGMOID_AT_ONE = math.log1p(math.exp(-1.0))  # softplus(-1): a probability of 1 taken for a logit


def _column_options(options: Options, name: str, columns: int) -> np.ndarray:
    """A per-column option such as ``pos_weight``, 1 where it is absent or does not fit the columns."""
    given = options.get(name)
    if given is None or isinstance(given, bool | str):
        return np.ones(columns)
    values = np.asarray(given, dtype=np.float64).reshape(-1)
    return np.broadcast_to(values, columns) if values.size in (1, columns) else np.ones(columns)


def bernoulli_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Mean over columns of the cross-entropy of the best constant probability.

    With target rate r and ``pos_weight`` c a column costs (c·r + 1 - r)·H(c·r / (c·r + 1 - r)); the
    target may be soft. ``weight`` multiplies a column.
    """
    moments = stats.columns
    if moments.weight <= 0:
        return None
    rate = np.clip(moments.mean, 0, 1)
    positive = _column_options(options, "pos_weight", len(rate))
    weight = _column_options(options, "weight", len(rate))
    mass = positive * rate + 1 - rate
    best = np.divide(positive * rate, mass, out=np.zeros_like(rate), where=mass > 0)
    value = float((weight * mass * binary_entropy(best)).mean())
    inner = np.clip(best, 1e-12, 1 - 1e-12)
    rows = stats.sample.rows
    losses = -weight * (positive * rows * np.log(inner) + (1 - rows) * np.log1p(-inner))
    return Estimate(value, of_rows(losses.mean(1), stats))


def bernoulli_floor(options: Options, stats: TargetStats | None) -> float | None:
    """Mean entropy of the targets: 0 for targets of 0 and 1; more with a second sigmoid in front."""
    if stats is None or len(stats.sample.rows) == 0:
        return None
    targets = np.clip(stats.sample.rows, 0, 1)
    columns = targets.shape[1]
    positive = _column_options(options, "pos_weight", columns)
    weight = _column_options(options, "weight", columns)
    if options.get("double_sigmoid"):
        if not ((targets == 0) | (targets == 1)).all():
            return None
        return float((weight * (positive * targets * _SIGMOID_AT_ONE + (1 - targets) * math.log(2))).mean())
    mass = positive * targets + 1 - targets
    best = np.divide(positive * targets, mass, out=np.zeros_like(targets), where=mass > 0)
    return float((weight * mass * binary_entropy(best)).mean())


def fitted_bernoulli_chance(
    positive: Callable[[np.ndarray], np.ndarray],
    negative: Callable[[np.ndarray], np.ndarray],
    stats: TargetStats,
) -> Estimate | None:
    """Numeric chance level, column by column, of t·ℓ₊(z) + (1 - t)·ℓ₋(z) for a score z.

    A grid over [-40, 40] that narrows around its best point: a loss with a zero gradient somewhere does not stop it.
    At most ``_MAX_COLUMNS`` evenly spaced columns.
    """
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    rows = np.clip(rows[:, :: max(1, rows.shape[1] // _MAX_COLUMNS)], 0, 1)
    rate = np.clip(stats.columns.mean[:: max(1, len(stats.columns.mean) // _MAX_COLUMNS)], 0, 1)[:, None]
    best, width = np.zeros_like(rate), 40.0
    for _ in range(8):
        z = best + width * np.linspace(-1, 1, 201)
        losses = rate * positive(z) + (1 - rate) * negative(z)
        best = np.take_along_axis(z, losses.argmin(1)[:, None], 1)
        width /= 40
    value = rate * positive(best) + (1 - rate) * negative(best)
    spread = rows * positive(best).T + (1 - rows) * negative(best).T
    return Estimate(float(value.mean()), of_rows(spread.mean(1), stats))
