"""Streaming statistics of the targets that a loss has seen: what a constant predictor could know.

The best constant predictor depends on the targets alone, so its loss, the *chance level*, follows from
these statistics: label entropy for cross-entropy, variance for the squared error, and so on. Memory is
bounded (at most ``MAX_CLASSES`` counts, ``MAX_COLUMNS`` columns, ``MAX_SAMPLE`` sampled values) and two
statistics of disjoint data can be merged.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_CLASSES = 1 << 20
MAX_COLUMNS = 1 << 12
MAX_SAMPLE = 1 << 16
_ENTROPY_ROWS = 1 << 13


class ColumnMoments:
    """Count, mean and sum of squared deviations of each column, weighted, merged by Chan's formula."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.mean = np.zeros(0)
        self.squares = np.zeros(0)

    def add(self, rows: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add rows ``[n, columns]``; ``weights`` is ``[n]``."""
        total = float(len(rows)) if weights is None else float(weights.sum())
        if total <= 0:
            return
        scale = None if weights is None else weights[:, None]
        mean = rows.mean(0) if scale is None else (rows * scale).sum(0) / total
        deviations = np.square(rows - mean)
        if scale is not None:
            deviations = deviations * scale
        self._merge(total, mean, deviations.sum(0))

    def merge(self, other: "ColumnMoments") -> None:
        if other.weight > 0:
            self._merge(other.weight, other.mean, other.squares)

    def _merge(self, weight: float, mean: np.ndarray, squares: np.ndarray) -> None:
        if self.weight == 0 or self.mean.shape != mean.shape:
            self.weight, self.mean, self.squares = weight, mean, squares
            return
        total = self.weight + weight
        delta = mean - self.mean
        self.mean = self.mean + delta * (weight / total)
        self.squares = self.squares + squares + np.square(delta) * (self.weight * weight / total)
        self.weight = total

    @property
    def variance(self) -> np.ndarray:
        """Population variance of each column."""
        return self.squares / self.weight if self.weight > 0 else self.squares


class RowSample:
    """A deterministic sample of rows: every k-th one, where k doubles whenever the store is full."""

    def __init__(self) -> None:
        self.rows = np.zeros((0, 0))
        self.stride = 1
        self._phase = 0

    def add(self, rows: np.ndarray) -> None:
        start = (-self._phase) % self.stride
        taken = rows[start :: self.stride]
        self._phase = (self._phase + len(rows)) % self.stride
        same = self.rows.shape[1:] == rows.shape[1:]
        self.rows = np.concatenate([self.rows, taken]) if same and len(self.rows) else taken.copy()
        limit = max(2, MAX_SAMPLE // max(1, rows.shape[1]))
        while len(self.rows) > limit:
            self.rows = self.rows[::2]
            self.stride *= 2

    def merge(self, other: "RowSample") -> None:
        if len(other.rows) == 0:
            return
        stride = max(self.stride, other.stride)
        mine = self.rows[:: stride // self.stride]
        same = len(mine) and mine.shape[1:] == other.rows.shape[1:]
        theirs = other.rows[:: stride // other.stride]
        self.stride, self._phase = stride, 0
        self.rows = np.concatenate([mine, theirs]) if same else theirs.copy()


class TargetStats:
    """Statistics of targets.

    Integer targets are class indices: ``class_weight[k]`` is the (weighted) number of elements of class
    k. Real targets have columns along axis 1 (one column for vectors): ``columns`` holds their moments,
    ``sample`` a sample of rows. Rows that are distributions also give ``mean_entropy``.
    """

    def __init__(self) -> None:
        self.updates = 0
        self.batch_elements = 0.0
        self.batch_rows = 0.0
        self.count = 0.0
        self.ignored = 0.0
        self.class_weight = np.zeros(0)
        self.columns = ColumnMoments()
        self.sample = RowSample()
        self.entropy_sum = 0.0
        self.entropy_rows = 0.0
        self.non_finite = 0

    def update(
        self,
        target: np.ndarray,
        options: Mapping[str, Any] | None = None,
        weight: np.ndarray | None = None,
        *,
        stride: int = 1,
    ) -> None:
        """Add one batch. ``options`` may hold ``ignore_index``; ``weight`` broadcasts against ``target``.

        ``stride`` says that ``target`` is every stride-th row of the batch.
        ``options["target"] == "distribution"`` says that axis 1 (0 for a vector) runs over classes.
        Cost: one pass over ``target``.
        """
        options = options or {}
        self.updates += 1
        self.batch_rows += (target.shape[0] if target.ndim else 1) * stride
        if target.dtype.kind in "iub" and options.get("target", "class") == "class":
            self._add_classes(target, options.get("ignore_index"), weight)
        else:
            elements = self._add_columns(target, options.get("target") == "distribution", weight)
            self.batch_elements += elements * stride

    def _add_classes(self, target: np.ndarray, ignored: int | None, weight: np.ndarray | None) -> None:
        flat = target.reshape(-1)
        keep = (flat >= 0) & (flat < MAX_CLASSES)
        if ignored is not None:
            self.ignored += float((flat == ignored).sum())
            keep &= flat != ignored
        weights = None if weight is None else _aligned(weight, target).reshape(-1)
        if weights is not None:
            keep &= weights > 0
            weights = weights[keep]
        counts = np.bincount(flat[keep].astype(np.int64), weights=weights)
        if len(counts) > len(self.class_weight):
            self.class_weight = np.pad(self.class_weight, (0, len(counts) - len(self.class_weight)))
        self.class_weight[: len(counts)] += counts
        elements = float(keep.sum())
        self.count += elements
        self.batch_elements += elements

    def _add_columns(self, target: np.ndarray, distribution: bool, weight: np.ndarray | None) -> int:
        """Take in real targets; answers with how many elements the loss has."""
        rows = _rows(target, distribution)
        weights = None if weight is None else _rows(_aligned(weight, target), distribution).mean(1)
        finite = np.isfinite(rows).all(1)
        if weights is not None:
            finite &= weights > 0
            weights = weights[finite]
        self.non_finite += int((~np.isfinite(rows)).sum())
        rows = rows[finite]
        self.count += len(rows)
        if len(rows) == 0:
            return 0
        self.columns.add(rows, weights)
        self.sample.add(rows)
        if distribution:
            some = rows[:: max(1, len(rows) // _ENTROPY_ROWS)]
            logs = np.log(np.where(some > 0, some, 1.0))
            self.entropy_sum += float(-(some * logs).sum())
            self.entropy_rows += len(some)
        return len(rows) if distribution else rows.size

    def merge(self, other: "TargetStats") -> None:
        """Take in the statistics of other data."""
        size = max(len(self.class_weight), len(other.class_weight))
        self.class_weight = np.pad(self.class_weight, (0, size - len(self.class_weight))) + np.pad(
            other.class_weight, (0, size - len(other.class_weight))
        )
        for name in (
            *("updates", "batch_elements", "batch_rows", "count", "ignored"),
            *("entropy_sum", "entropy_rows", "non_finite"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.columns.merge(other.columns)
        self.sample.merge(other.sample)

    @property
    def mean_entropy(self) -> float:
        """Mean entropy in nats of the distributions seen as targets."""
        return self.entropy_sum / self.entropy_rows if self.entropy_rows else 0.0

    @property
    def kept_share(self) -> float:
        """The share of the elements seen whose target was not to be ignored."""
        seen = self.count + self.ignored
        return self.count / seen if seen else 1.0

    def elements(self, reduction: str) -> float:
        """By how much a reduction multiplies the mean loss of one element, for the mean batch seen."""
        if self.updates == 0:
            return 1.0
        if reduction == "sum":
            return self.batch_elements / self.updates
        if reduction == "batchmean":
            return self.batch_elements / self.batch_rows if self.batch_rows else 1.0
        return 1.0


def _aligned(weight: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``weight`` at the shape of ``target``: equal numbers of elements, or leading axes, or broadcast."""
    if weight.size == target.size:
        return weight.reshape(target.shape)
    if weight.shape == target.shape[: weight.ndim]:
        weight = weight.reshape(weight.shape + (1,) * (target.ndim - weight.ndim))
    return np.broadcast_to(weight, target.shape)


def _rows(target: np.ndarray, distribution: bool) -> np.ndarray:
    """``[samples, columns]`` in float64: columns are axis 1, further axes are more samples."""
    values = target.astype(np.float64)
    if values.ndim < 2:
        return values.reshape(1, -1) if distribution else values.reshape(-1, 1)
    columns = values.shape[1]
    rows = np.moveaxis(values, 1, -1).reshape(-1, columns)
    return rows if columns <= MAX_COLUMNS else rows.reshape(-1, 1)
