"""Activation checkpointing is switched off while an objective is evaluated.

``torch.utils.checkpoint`` runs a part of the model once more during the backward pass. By then the functional call is
over: the second run would use the model's own parameters instead of those asked for, write to its buffers, and not
know the seed. Nothing of the function changes when the activations are kept instead; it takes the memory that
checkpointing saves.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.utils.checkpoint as checkpointing

_LOCK = threading.RLock()
_NAMES = ("_checkpoint_without_reentrant_generator", "CheckpointFunction")  # what ``checkpoint`` calls


class _Kept:
    """In place of the reentrant ``CheckpointFunction``: run, with everything kept."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _kept(*given: Any, **_: Any) -> Iterator[None]:
    """In place of the generator around a forward pass that is not reentrant: only the caller's context."""
    _function, _preserve, context_fn, *_rest = given
    ahead, _again = context_fn()
    with ahead:
        yield


@contextmanager
def checkpointing_off() -> Iterator[None]:
    """Within, ``checkpoint(f, *x)`` is ``f(*x)``, for all threads."""
    with _LOCK:
        before = [getattr(checkpointing, name) for name in _NAMES]
        try:
            for name, plain in zip(_NAMES, (_kept, _Kept), strict=True):
                setattr(checkpointing, name, plain)
            yield
        finally:
            for name, value in zip(_NAMES, before, strict=True):
                setattr(checkpointing, name, value)
