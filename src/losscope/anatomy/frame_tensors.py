"""Finds the operands of a loss among the variables of the frame that computed it.

A hand-written ``(a - b) ** 2`` leaves neither ``a`` nor ``b`` in the graph, only the difference. The
prediction is the variable whose ``grad_fn`` feeds the loss; the target is the variable for which
prediction - target equals the difference bit by bit. Both give the expression human names.

Reading ``frame.f_locals`` of a running function refreshes a dictionary that the frame keeps, with new
references in it (before Python 3.13). It is emptied again, and not read at all where the function could
have got hold of it by ``locals()``.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from losscope.losses.graph.node import Node, is_plain
from losscope.losses.graph.values import output

_SNAPSHOTS = sys.version_info < (3, 13)
_WOULD_SEE = frozenset({"locals", "vars", "dir", "eval", "exec"})
_ITEMS = 64
_VARIABLES = 4096
_COMPARED = 1 << 22


@dataclass(frozen=True, slots=True)
class Operands:
    """Prediction and target with the names of their variables; ``None`` and ``""`` where not found."""

    prediction: Tensor | None = None
    prediction_name: str = ""
    target: Tensor | None = None
    target_name: str = ""


def find_operands(
    frame: FrameType, prediction: Node | None, difference: Node | None = None, target: Tensor | None = None
) -> Operands:
    """Look for the output of ``prediction`` and its target among the local variables of ``frame``.

    ``difference`` is the node of prediction - target (in either order), ``target`` the target where it is
    known already and only its name is wanted. Tensors are compared, never changed.
    """
    variables = _variables(frame)
    try:
        tensors = list(_tensors(variables))
        found = _named_output(tensors, prediction) if prediction is not None else None
        named_target = _named_same(tensors, target) if target is not None else None
        if named_target is None and difference is not None and found is not None:
            named_target = _subtrahend(tensors, found[1], difference)
        return Operands(
            prediction=found[1].detach() if found else None,
            prediction_name=found[0] if found else "",
            target=named_target[1].detach() if named_target else None,
            target_name=named_target[0] if named_target else "",
        )
    finally:
        _let_go(frame, variables)


def constants(frame: FrameType) -> list[tuple[str, Tensor]]:
    """Names and values of the tensors of real numbers among the variables that need no gradient, the first of each."""
    variables = _variables(frame)
    try:
        found: dict[int, tuple[str, Tensor]] = {}
        for name, tensor in _tensors(variables):
            if not tensor.requires_grad and not tensor.is_complex():
                found.setdefault(id(tensor), (name, tensor))
        return list(found.values())
    finally:
        _let_go(frame, variables)


def _is_function(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)


def _variables(frame: FrameType) -> Any:
    if _SNAPSHOTS and _is_function(frame) and not _WOULD_SEE.isdisjoint(frame.f_code.co_names):
        return {}
    return frame.f_locals


def _let_go(frame: FrameType, variables: Any) -> None:
    """Empty the snapshot of a function's variables, so that they die when the function drops them."""
    if _SNAPSHOTS and _is_function(frame) and type(variables) is dict and variables is not frame.f_globals:
        variables.clear()


def _tensors(variables: Any) -> Iterator[tuple[str, Tensor]]:
    """Tensors among the variables, and one level down in lists, tuples and dictionaries."""
    for count, (name, value) in enumerate(list(variables.items())):
        if count > _VARIABLES:
            return
        if is_plain(value):
            yield name, value
        elif type(value) in (list, tuple) and len(value) <= _ITEMS:
            for index, item in enumerate(value):
                if is_plain(item):
                    yield f"{name}[{index}]", item
        elif type(value) is dict and len(value) <= _ITEMS:
            for key, item in value.items():
                if is_plain(item):
                    yield f"{name}[{key!r}]", item


def _named_output(tensors: list[tuple[str, Tensor]], node: Node) -> tuple[str, Tensor] | None:
    """The variable that is the output of ``node`` itself, or of a view below it with as many elements."""
    for candidate in node.below(4):
        if candidate.numel != node.numel:
            break
        for name, tensor in tensors:
            if tensor.grad_fn is candidate.fn and tensor.output_nr == candidate.index:
                return name, tensor
            if candidate.op == "leaf" and tensor is candidate.leaf:
                return name, tensor
    return None


def _named_same(tensors: list[tuple[str, Tensor]], target: Tensor) -> tuple[str, Tensor] | None:
    """The variable that shares its memory with ``target``; the whole tensor before a view of it."""
    best = None
    for name, tensor in tensors:
        if tensor.requires_grad or tensor.dtype != target.dtype or tensor.numel() != target.numel():
            continue
        if tensor.numel() and tensor.data_ptr() == target.data_ptr():
            if tensor.shape == target.shape:
                return name, target
            best = best or (name, target)
    return best


def _subtrahend(
    tensors: list[tuple[str, Tensor]], prediction: Tensor, difference: Node
) -> tuple[str, Tensor] | None:
    """The constant y with prediction - y, or y - prediction, equal to the difference bit by bit."""
    residual = output(difference)
    if residual is None or residual.numel() > _COMPARED:
        return None
    value = prediction.detach()
    if value.shape != residual.shape and value.numel() == residual.numel():
        value = value.reshape(residual.shape)
    for name, tensor in tensors:
        if tensor.requires_grad or tensor.device != value.device or tensor.is_complex():
            continue
        if not _broadcast_to(tensor.shape, value.shape, residual.shape):
            continue
        forward = value - tensor
        if torch.equal(forward, residual) or torch.equal(tensor - value, residual):
            return name, tensor
    return None


def _broadcast_to(first: torch.Size, second: torch.Size, result: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(first, second) == result
    except RuntimeError:
        return False
