"""Which data loader feeds training and which feeds evaluation, told by what happens after it starts."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from losscope.watching.shared_samples import Samples, samples_of
from losscope.watching.user_code import user_frame, where

Use = Literal["train", "other", "unknown"]
_TOLD = 16  # events of one run
_KEPT = 64  # loaders that are remembered


@dataclass(slots=True)
class _Started:
    """A loader whose iterator was made: its data, what is told of it, and what it was last used for."""

    key: tuple[Any, ...]
    owner: Callable[[], Any]
    told: dict[str, Any]
    samples: Samples | None
    compared: bool = False  # with the loader that feeds training


@dataclass(slots=True)
class Loaders:
    """A started loader is claimed by whatever comes first: a training backward or an evaluation loss.

    A ``loader`` event describes each that feeds training, a ``shared-samples`` event each evaluation loader that has
    samples in common with the one that fed training just before. Folds of a cross-validation are not mixed up.
    """

    event: Callable[..., None] = lambda *_, **__: None
    epoch: int = -1
    _pending: _Started | None = None
    _evaluating: Use = "unknown"
    _training: set[tuple[Any, ...]] = field(default_factory=set)
    _known: dict[tuple[Any, ...], _Started] = field(default_factory=dict)
    _trains: _Started | None = None
    _events: int = 0

    def starts(self, loader: Any) -> None:
        """A loader's iterator is made. Under ``no_grad`` it can only be for evaluation."""
        found = self._described(loader)
        if torch.is_grad_enabled():
            self._pending = found
        else:
            self._pending = None
            self._evaluating = self._use(found)

    def claimed_by_training(self) -> bool:
        """A training backward happens. True when it is the first of a new epoch."""
        self._evaluating = "unknown"
        found, self._pending = self._pending, None
        if found is None:
            return False
        if found is not self._trains:
            self._trains = found
            if found.key not in self._training:
                self._tell("loader", **found.told)
        self._training.add(found.key)
        self.epoch += 1
        return True

    def claimed_by_evaluation(self) -> Use:
        """An evaluation loss is computed: on the training data, on other data, or on who knows what."""
        found, self._pending = self._pending, None
        if found is not None:
            self._evaluating = self._use(found)
        return self._evaluating

    def feeds_evaluation(self) -> bool:
        """Whether a loader of data that are not trained on, begun under ``no_grad``, is the last that was started."""
        return self._evaluating == "other" and self._pending is None and bool(self._training)

    def _use(self, found: _Started) -> Use:
        if found.key in self._training:
            return "train"
        trains = self._trains
        if (
            trains is not None
            and not found.compared
            and found.samples is not None
            and trains.samples is not None
        ):
            found.compared = True
            common = trains.samples.shared(found.samples)
            if common:
                self._tell("shared-samples", shared=common, **found.told)
        return "other"

    def _described(self, loader: Any) -> _Started:
        key = _data_of(loader)
        known = self._known.get(key)
        if known is not None and known.owner() in (loader.dataset, getattr(loader, "sampler", None)):
            return known
        if len(self._known) >= _KEPT:
            self._known.clear()
        samples = samples_of(loader)
        found = self._known[key] = _Started(key, _owner(loader), _told(loader), samples)
        return found

    def _tell(self, kind: str, **fields: Any) -> None:
        self._events += 1
        if self._events <= _TOLD:
            self.event(kind, **fields)


def _owner(loader: Any) -> Callable[[], Any]:
    """A weak reference to what is a loader's own: a sampler over indices, or the data set."""
    sampler = getattr(loader, "sampler", None)
    try:
        return weakref.ref(sampler if hasattr(sampler, "indices") else loader.dataset)
    except TypeError:  # a list, say
        return lambda: None


def _data_of(loader: Any) -> tuple[Any, ...]:
    """The data set, and the indices where one data set is split by samplers."""
    indices = getattr(getattr(loader, "sampler", None), "indices", None)
    return (id(loader.dataset), None if indices is None else id(indices))


def _told(loader: Any) -> dict[str, Any]:
    """Sampler, samples and batches of a loader, as far as these are known without iterating."""
    place = where(user_frame())
    try:
        samples, batches = len(loader.sampler), len(loader)
    except Exception:  # noqa: BLE001  streams have no length, and a length of the user's own may fail
        samples = batches = None
    return {
        "sampler": type(getattr(loader, "sampler", None)).__name__,
        "samples": samples,
        "batches": batches,
        "where": {"file": place.file, "line": place.line} if place else None,
    }
