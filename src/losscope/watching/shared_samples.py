"""Which samples two data loaders have in common, where that can be told without reading any of them.

Subsets of one data set are compared by their indices, tensors by the memory in which their rows lie.
"""

import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Subset, SubsetRandomSampler, TensorDataset

from losscope.losses.graph.node import is_plain
from losscope.watching.weak_tensors import TensorRef, weak

_MOST = 1 << 22  # indices that are remembered of one loader


@dataclass(slots=True)
class Rows:
    """Rows of a tensor in memory, from byte ``begin`` to ``end``, ``size`` bytes each."""

    tensor: TensorRef  # once it is gone, its address may belong to another
    begin: int
    end: int
    size: int

    def shared(self, other: "Rows") -> int:
        """How many rows lie in both."""
        if self.size != other.size or self.tensor() is None or other.tensor() is None:
            return 0
        return max(0, min(self.end, other.end) - max(self.begin, other.begin)) // self.size


@dataclass(slots=True)
class Samples:
    """``indices`` of a data set, or all of it where they are ``None``; then ``rows`` may say where these lie."""

    source: weakref.ref[Any]
    indices: frozenset[int] | None = None
    rows: Rows | None = None

    def shared(self, other: "Samples") -> int:
        """How many samples are both here and there."""
        mine, others = self.source(), other.source()
        if mine is not None and mine is others:
            if self.indices is not None and other.indices is not None:
                return len(self.indices & other.indices)
            return len(self.indices or other.indices or ())
        return self.rows.shared(other.rows) if self.rows is not None and other.rows is not None else 0


def samples_of(loader: Any) -> Samples | None:
    """What is known of the samples of a loader; ``None`` for data sets of which nothing is."""
    data, sampler = loader.dataset, getattr(loader, "sampler", None)
    indices = None
    if type(sampler) is SubsetRandomSampler:
        indices = sampler.indices
    elif type(data) is Subset:
        data, indices = data.dataset, data.indices
    if indices is not None:
        return _of_indices(data, indices)
    try:
        return Samples(weakref.ref(data), rows=_rows(data))
    except TypeError:  # a list, say
        return None


def _of_indices(data: Any, indices: Any) -> Samples | None:
    if len(indices) > _MOST:
        return None
    try:
        return Samples(weakref.ref(data), frozenset(int(i) for i in indices))
    except (TypeError, ValueError):  # an object without weak references, or indices that are no numbers
        return None


def _rows(data: Any) -> Rows | None:
    """Of the first tensor of a ``TensorDataset``, where its rows lie at equal distances."""
    tensor = data.tensors[0] if type(data) is TensorDataset and data.tensors else None
    if type(tensor) is not Tensor or not is_plain(tensor) or not tensor.ndim or not tensor.numel():
        return None
    size = (
        tensor.stride(0) * tensor.element_size()
    )  # of a part of the columns, the rows are those of the table
    if size <= 0:
        return None
    return Rows(weak(tensor), tensor.data_ptr(), tensor.data_ptr() + size * tensor.shape[0], size)
