"""Whether an objective is still where it was: what a kept graph or result is true of."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from losscope.objective.objective import Objective

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def state(objective: Objective) -> Hashable:
    """Equal as long as parameters, buffers, data and the modes of all modules are.

    Parameters and buffers by the sum of their bits, because ``p.data.mul_(2)`` leaves no other trace; data by torch's
    counter of changes. Cost: one pass over the parameters, and one synchronisation with their device.
    """
    held = [*objective.parameters, *objective.whole.buffers()]
    modes = tuple(module.training for module in objective.whole.modules())
    data = tuple(
        (t.data_ptr(), None if t.is_inference() else t._version)
        for batch in objective.batches
        for t in _tensors((batch.inputs, batch.named, batch.target))
    )
    with torch.no_grad():
        sums = [_bits(t).to(held[0].device) for t in held]
        return modes, data, tuple(torch.stack(sums).tolist())


def _bits(tensor: Tensor) -> Tensor:
    """The sum of all numbers, read as integers: every change of one number changes it."""
    plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    if plain.layout != torch.strided or plain.is_quantized:
        return torch.tensor(id(tensor))
    if plain.dtype == torch.bool:
        return plain.sum(dtype=torch.int64)
    return plain.detach().view(_BITS[plain.element_size()]).sum(dtype=torch.int64)


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
