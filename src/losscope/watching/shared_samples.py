"""Which samples two data loaders have in common, where that can be told without reading any of them.

Subsets of one data set are compared by their indices, tensors by the memory in which their rows lie.
"""

import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Subset, SubsetRandomSampler, TensorDataset

_MOST = 1 << 22  # indices that are remembered of one loader


@dataclass(slots=True)
class Samples:
    """``indices`` of a data set, or rows of a tensor in memory: bytes ``begin`` to ``end``, ``row`` bytes each.

    ``source`` is the data set or the tensor; once it is gone, its address may belong to another.
    """

    source: weakref.ref[Any]
    indices: frozenset[int] = frozenset()
    begin: int = 0
    end: int = 0
    row: int = 0

    def shared(self, other: "Samples") -> int:
        """How many samples of ``other`` are among these."""
        mine, others = self.source(), other.source()
        if mine is None or others is None:
            return 0
        if mine is others and not self.row and not other.row:
            return len(self.indices & other.indices)
        if self.row and self.row == other.row:
            return max(0, min(self.end, other.end) - max(self.begin, other.begin)) // self.row
        return 0


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
    if type(data) is TensorDataset and data.tensors:
        return _of_rows(data.tensors[0])
    return None


def _of_indices(data: Any, indices: Any) -> Samples | None:
    if len(indices) > _MOST:
        return None
    try:
        return Samples(weakref.ref(data), indices=frozenset(int(i) for i in indices))
    except (TypeError, ValueError):  # an object without weak references, or indices that are no numbers
        return None


def _of_rows(tensor: Tensor) -> Samples | None:
    """Rows that follow each other in memory."""
    if type(tensor) is not Tensor or not tensor.ndim or not tensor.is_contiguous() or not tensor.numel():
        return None
    row = tensor.numel() // tensor.shape[0] * tensor.element_size()
    return Samples(weakref.ref(tensor), begin=tensor.data_ptr(), end=tensor.data_ptr() + row * tensor.shape[0], row=row)
