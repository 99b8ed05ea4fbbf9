"""Weight normalisation by operations that can be differentiated twice, while an objective is evaluated.

Torch's fused kernel for w = g v / ‖v‖ has a first derivative that is right and a second that is not. The same function
by a norm, a quotient and a product has both, at the cost of one more tensor of the weight's size.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_LOCK = threading.RLock()
_NAME = "_weight_norm"
_OLD = "torch.nn.utils.weight_norm"  # the module, which a function of its name hides


def _by_parts(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """g v / ‖v‖, with the norm over all axes but ``dim``; over all for -1."""
    return v * (g / torch.norm_except_dim(v, 2, dim))


@contextmanager
def weight_norm_by_parts() -> Iterator[None]:
    """Within, torch's weight normalisation is that of this module, for all threads."""
    places = [place for place in (torch, sys.modules.get(_OLD)) if place is not None]
    with _LOCK:
        before = [getattr(place, _NAME) for place in places]
        try:
            for place in places:
                setattr(place, _NAME, _by_parts)
            yield
        finally:
            for place, function in zip(places, before, strict=True):
                setattr(place, _NAME, function)
