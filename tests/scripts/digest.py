"""Fingerprint of everything that watching must not change; scripts print it as their last line."""

import hashlib
import random

import numpy as np
import torch


def seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _feed(hasher, value):
    if isinstance(value, torch.Tensor):
        hasher.update(repr(value.dtype).encode() + (value.to_dense() if value.is_sparse else value).detach().cpu().double().numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            hasher.update(str(key).encode())
            _feed(hasher, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(hasher, item)
    else:
        hasher.update(repr(value).encode())


def report(*things):
    """Print one hash of models, optimisers and tensors, and one of the three random states."""
    hasher = hashlib.sha256()
    for thing in things:
        _feed(hasher, thing.state_dict() if hasattr(thing, "state_dict") else thing)
        if isinstance(thing, torch.nn.Module):
            _feed(hasher, {n: p.grad for n, p in thing.named_parameters() if p.grad is not None})
    print("state", hasher.hexdigest())
    hasher = hashlib.sha256()
    _feed(hasher, [torch.get_rng_state(), random.getstate(), *np.random.get_state()[1:3]])
    hasher.update(np.random.get_state()[1].tobytes())
    print("random", hasher.hexdigest())
