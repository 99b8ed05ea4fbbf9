"""Whether an objective is still where it was: what a kept graph or result is true of."""

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.objective.objective import Objective

_SAMPLED = 4096
_LOOKED_AT, _FEW = 16, 64  # tensors of the data, and about so many numbers of each
_SMALL = 1 << 18  # numbers that are put in a row
_ODD = {
    1: 0x9D,
    2: 0x9E37,
    4: 0x9E3779B1,
    8: 0x9E3779B97F4A7C15,
}  # of the golden ratio (Knuth, volume 3, 6.4)
_ODD = {
    size: odd - (1 << 8 * size if odd >> (8 * size - 1) else 0) for size, odd in _ODD.items()
}  # as signed
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def state(objective: Objective) -> Hashable:
    """Equal as long as parameters, buffers, data and the modes of all modules are.

    Parameters and buffers by torch's counters of changes, and by sums over their numbers, because ``p.data.mul_(2)``
    leaves no other trace. Data by the counters and by some numbers of up to 16 of their tensors: what is written
    through ``.data`` or an array that shares their memory is noticed where it is much, and may be missed where it is a
    few numbers. Cost: two passes over the parameters, and a synchronisation with their device and that of the data.
    """
    modes: list[bool] = []
    own: dict[int, bool] = {}
    buffers: dict[int, Tensor] = {}
    for module in objective.whole.modules():
        modes.append(module.training)
        own |= {id(p): p.requires_grad for p in module._parameters.values() if p is not None}
        buffers |= {id(b): b for b in module._buffers.values() if b is not None}
    held = [*objective.parameters, *buffers.values()]
    tensors = [t for batch in objective.batches for t in batch.tensors()]
    data = tuple(map(_counted, tensors))
    with torch.no_grad():
        data += _glimpse(tensors[:: -(-len(tensors) // _LOOKED_AT) or 1])
        sums = [_sums(t).to(held[0].device) for t in _together([t.detach() for t in held])]
        return (
            tuple(modes),
            data,
            tuple(own.items()),
            tuple(map(_counted, held)),
            tuple(torch.cat(sums).tolist()),
        )


def _glimpse(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """The bits of some numbers of each, at even distances along every axis."""
    found = []
    for tensor in tensors:
        plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        if plain.layout == torch.strided and not plain.is_quantized and plain.numel():
            along = math.ceil(_FEW ** (1 / max(plain.dim(), 1)))
            some = plain[tuple(slice(None, None, max(1, length // along)) for length in plain.shape)]
            found.append(some.detach().reshape(-1).to(torch.float64).view(torch.int64))
    return tuple(torch.cat([part.to(found[0].device) for part in found]).tolist()) if found else ()


def _counted(tensor: Tensor) -> tuple[int, int | None]:
    """Where it lies, and how often it was written to as far as torch knows."""
    if tensor.layout != torch.strided:
        return id(tensor), None
    return tensor.data_ptr(), None if tensor.is_inference() else tensor._version


def _together(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same numbers in fewer tensors: small ones of one type and device in a row, in pieces of bounded size."""
    rows: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    lengths: dict[tuple[torch.dtype, torch.device], int] = {}
    for tensor in tensors:
        if tensor.layout != torch.strided or tensor.is_quantized or not tensor.numel():
            continue
        plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        if plain.numel() > _SMALL:
            yield plain
            continue
        kind = plain.dtype, plain.device
        rows.setdefault(kind, []).append(plain.reshape(-1))
        lengths[kind] = lengths.get(kind, 0) + plain.numel()
        if lengths[kind] > _SMALL:
            yield torch.cat(rows.pop(kind))
            del lengths[kind]
    yield from map(torch.cat, rows.values())


def _sums(plain: Tensor) -> Tensor:
    """Three integers [3]: the sum of mixed bits, which changes with any one number, that of the numbers themselves,
    which changes with their signs and scale, and that of some numbers weighed by their places."""
    if plain.dtype == torch.bool:
        plain = plain.to(torch.int8)
    bits = plain.view(_BITS[plain.element_size()])
    few = bits.reshape(-1)[:: max(1, bits.numel() // _SAMPLED)].to(torch.int64)
    places = torch.arange(1, 2 * len(few), 2, dtype=torch.int64, device=few.device)
    mixed = (bits * _ODD[plain.element_size()]) >> (3 * plain.element_size())
    total = plain.sum(dtype=torch.float64 if plain.dtype == torch.float64 else torch.float32)
    return torch.stack([mixed.sum(dtype=torch.int64), total.double().view(torch.int64), (few * places).sum()])
