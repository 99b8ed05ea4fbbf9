"""Which data loader feeds training and which feeds evaluation, told by what happens after it starts."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

Use = Literal["train", "other", "unknown"]


@dataclass(slots=True)
class Loaders:
    """A started loader is claimed by whatever comes first: a training backward or an evaluation loss."""

    epoch: int = -1
    _pending: tuple[Any, ...] | None = None
    _evaluating: Use = "unknown"
    _training: set[tuple[Any, ...]] = field(default_factory=set)

    def starts(self, loader: Any) -> None:
        """A loader's iterator is made. Under ``no_grad`` it can only be for evaluation."""
        key = _data_of(loader)
        if torch.is_grad_enabled():
            self._pending = key
        else:
            self._pending = None
            self._evaluating = self._use(key)

    def claimed_by_training(self) -> bool:
        """A training backward happens. True when it is the first of a new epoch."""
        self._evaluating = "unknown"
        key, self._pending = self._pending, None
        if key is None:
            return False
        self._training.add(key)
        self.epoch += 1
        return True

    def claimed_by_evaluation(self) -> Use:
        """An evaluation loss is computed: on the training data, on other data, or on who knows what."""
        key, self._pending = self._pending, None
        if key is not None:
            self._evaluating = self._use(key)
        return self._evaluating

    def feeds_evaluation(self) -> bool:
        """Whether a loader of data that are not trained on, begun under ``no_grad``, is the last that was started."""
        return self._evaluating == "other" and self._pending is None and bool(self._training)

    def _use(self, key: tuple[Any, ...]) -> Use:
        return "train" if key in self._training else "other"


def _data_of(loader: Any) -> tuple[Any, ...]:
    """The data set, and the indices where one data set is split by samplers."""
    indices = getattr(getattr(loader, "sampler", None), "indices", None)
    return (id(loader.dataset), None if indices is None else id(indices))
