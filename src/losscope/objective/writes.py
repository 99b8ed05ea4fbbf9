"""What the forward pass of a model writes, besides buffers, is put back.

``Embedding(max_norm=…)`` shortens rows of its weight in place when they are looked up; others write to
``weight.data``, or leave tensors and counts in attributes. A parameter that is written to is put back to the last bit
and from then on handed in as a copy: the loss is that of the weights as the model has changed them, and derivatives
are those at these weights, as in training.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter


@contextmanager
def watch_parameters(module: nn.Module) -> Iterator[set[str]]:
    """Names of the parameters that are written to inside, known at the end, when they and their versions are as before.

    Time and memory: one copy of the parameters.
    """
    changed: set[str] = set()
    with torch.inference_mode(False):
        own = {name: (p, p._version, p.detach(), p.detach().clone()) for name, p in module.named_parameters()}
    with _unsafe_preserve_version_counter(tuple(module.parameters())):
        try:
            yield changed
        finally:
            for name, (parameter, version, memory, before) in own.items():
                moved = parameter.data_ptr() != memory.data_ptr() or parameter.shape != memory.shape
                if moved or parameter._version != version or not torch.equal(memory, before):
                    changed.add(name)
                    with torch.inference_mode(False):
                        memory.data.copy_(before)
                        if moved:
                            parameter.data = memory


@contextmanager
def kept_attributes(module: nn.Module) -> Iterator[None]:
    """Attributes that are bound anew inside are bound as before at the end; what they hold is not looked into."""
    before = [(one.__dict__, dict(one.__dict__)) for one in module.modules()]
    try:
        yield
    finally:
        for now, then in before:
            if len(now) != len(then) or any(now.get(name, then) is not value for name, value in then.items()):
                now.clear()
                now.update(then)
