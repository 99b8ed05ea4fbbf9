"""Random numbers of torch, numpy and Python: taken from a seed for a while, and as they were afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def kept_randomness() -> Iterator[None]:
    """What is drawn inside moves no global generator."""
    python, legacy = random.getstate(), np.random.get_state()
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if used else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)


@contextmanager
def fixed_randomness(seed: int) -> Iterator[None]:
    """Random numbers that depend on ``seed`` alone; the global states are untouched."""
    with kept_randomness():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed devices that are not in use
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % (1 << 32))
        yield
