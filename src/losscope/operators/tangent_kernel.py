"""All scalar products of the gradients of a network's predictions, J Jᵀ, layer by layer.

A linear layer whose inputs have no places adds (A Aᵀ) ∘ (G Gᵀ), which needs neither the gradients nor their number of
parameters (Novak, Sohl-Dickstein and Schoenholz, 2022, arXiv:2206.08720, "structured derivatives"). For convolutions,
whose gradients sum over many places, making the gradients is cheaper: they are made from patches, which all outputs
share, and multiplied. Cost: one backward pass to the layers' outputs for each output of a sample, and at most P M² / 2
multiplications for M predictions. Memory: ``memory`` bytes of gradients at a time; where they do not fit, parameters
are taken in groups, each with backward passes of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from losscope.operators.layers import Call, Layers

_MEMORY = 1 << 30
_BLOCK = 256  # rows of a symmetric product that are made at once


@dataclass(eq=False)
class _Group:
    """Positions of parameters whose gradients are made together, and those that are multiplied by their factors."""

    dense: dict[int, int] = field(default_factory=dict)  # to the first column
    thin: set[int] = field(default_factory=set)
    columns: int = 0


def tangent_kernel(parts: Sequence[Layers], outputs: int, memory: int = _MEMORY) -> Tensor:
    """[C·n, C·n] for n samples of several batches with C outputs each; rows by output, then by batch, then by sample.

    The predictions of each batch are one tensor [n_b, …] of C numbers per sample.
    """
    samples = sum(part.samples for part in parts)
    first = parts[0].batch.predictions[0]
    total = first.new_zeros(outputs * samples, outputs * samples)
    for group in _groups(parts, outputs * samples, memory):
        rows = first.new_zeros(outputs, samples, group.columns)
        thin = _filled(parts, outputs, group, rows)
        if group.columns:
            _add_squares_(total, rows.flatten(0, 1))
        for lefts, rights in thin.values():
            left, right = torch.cat(lefts), torch.cat(rights)
            shared = (right @ right.T).repeat(outputs, outputs)
            total.addcmul_(left @ left.T, shared)
    return total


def _groups(parts: Sequence[Layers], count: int, memory: int) -> Iterator[_Group]:
    """A partition of the parameters so that the gradients of each part fit into memory."""
    sizes = parts[0].parameters
    most = max(1, memory // (count * sizes[0].element_size()))
    group = _Group()
    for position in range(len(sizes)):
        if _thin(parts, position):
            group.thin.add(position)
            continue
        if group.columns and group.columns + sizes[position].numel() > most:
            yield group
            group = _Group()
        group.dense[position] = group.columns
        group.columns += sizes[position].numel()
    yield group


def _thin(parts: Sequence[Layers], position: int) -> bool:
    """Whether a parameter is the weight of one call of a linear layer without places."""
    wanted = parts[0].parameters[position]
    for part in parts:
        owners = [c for c in part.calls if any(p is wanted for p in c.module.parameters(recurse=False))]
        if len(owners) != 1:
            return False
        call = owners[0]
        if not isinstance(call.module, torch.nn.Linear) or call.module.weight is not wanted:
            return False
        if call.input.dim() != 2 or len(call.input) != part.samples:
            return False
    return True


def _filled(
    parts: Sequence[Layers], outputs: int, group: _Group, rows: Tensor
) -> dict[int, tuple[list[Tensor], list[Tensor]]]:
    """Gradients into ``rows`` [C, n, columns]; for thin parameters the factors: of outputs [C·n, p], inputs [n, q]."""
    thin: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
    prepared = [[_prepared(part, call, group) for call in part.calls] for part in parts]
    for c in range(outputs):
        start = 0
        for part, inputs in zip(parts, prepared, strict=True):
            chosen = slice(start, start + part.samples)
            start += part.samples
            unit = torch.zeros_like(part.batch.predictions[0])
            unit.view(part.samples, -1)[:, c] = 1.0
            gradients = part.output_gradients([unit])
            for call, given, g in zip(part.calls, inputs, gradients, strict=True):
                if given is None or g is None:
                    continue
                for position, factors in part.trained(call, given, g):
                    if position in group.thin and factors.right is not None:
                        lefts, rights = thin.setdefault(position, ([], []))
                        lefts.append(factors.left[:, 0])
                        if c == 0:
                            rights.append(factors.right[:, 0])
                    elif position in group.dense:
                        at = group.dense[position]
                        made = factors.dense()
                        rows[c, chosen, at : at + made.shape[1]] += made
    return thin


def _prepared(part: Layers, call: Call, group: _Group) -> Tensor | None:
    """What all outputs share of a call, where the group has one of its parameters."""
    wanted = group.thin | group.dense.keys()
    own = {id(part.parameters[i]) for i in wanted}
    if not any(id(p) in own for p in call.module.parameters(recurse=False)):
        return None
    return call.prepared(part.samples)


def _add_squares_(total: Tensor, rows: Tensor) -> None:
    """Add rows @ rowsᵀ, half of it computed and half mirrored."""
    for start in range(0, len(rows), _BLOCK):
        stop = min(start + _BLOCK, len(rows))
        made = rows[start:stop] @ rows[:stop].T
        total[start:stop, :stop] += made
        total[:start, start:stop] += made[:, :start].T
