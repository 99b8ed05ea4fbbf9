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
_GENERATOR = "_checkpoint_without_reentrant_generator"  # what ``checkpoint`` calls
_APPLY = "apply"


def _run(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
    """In place of the reentrant ``CheckpointFunction.apply``: run, with everything kept."""
    return function(*args)


def _kept(*given: Any, **_: Any) -> Iterator[None]:
    """In place of the generator around a forward pass that is not reentrant: only the caller's context."""
    _function, _preserve, context_fn, *_rest = given
    ahead, _again = context_fn()
    with ahead:
        yield


@contextmanager
def checkpointing_off() -> Iterator[None]:
    """Within, ``checkpoint(f, *x)`` is ``f(*x)``, for all threads, and ``CheckpointFunction.apply`` as well.

    The latter whoever has imported the class, which therefore stays and is given another method.
    """
    with _LOCK:
        before, function = getattr(checkpointing, _GENERATOR), checkpointing.CheckpointFunction
        nested = vars(function).get(_APPLY)
        try:
            setattr(checkpointing, _GENERATOR, _kept)
            setattr(function, _APPLY, staticmethod(_run))
            yield
        finally:
            setattr(checkpointing, _GENERATOR, before)
            if nested is None:
                delattr(function, _APPLY)
            else:
                setattr(function, _APPLY, nested)
