"""Arguments and outputs of modules as trees: tensors in tuples, lists, mappings and dataclasses."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable

_PLAIN = (type(None), bool, int, float, complex, str, bytes, slice, torch.dtype, torch.device, torch.Size)
_DEPTH = 8

_FOREIGN = Text(
    en="an input of {module} is a {seen}, which losscope does not copy",
    zh="{module} 的一个输入是 {seen}，losscope 不予复制",
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for an output of an earlier call: the ``leaf``-th tensor of what call ``call`` returned."""

    call: int
    leaf: int


def leaves(tree: Any, depth: int = _DEPTH) -> Iterator[Tensor]:
    """All tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif depth and isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value, depth - 1)
    elif depth and isinstance(tree, tuple | list):
        for value in tree:
            yield from leaves(value, depth - 1)
    elif depth and dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from leaves(getattr(tree, field.name, None), depth - 1)


def kept(tree: Any, tensor: Callable[[Tensor], Any], module: str, depth: int = _DEPTH) -> Any:
    """A copy of arguments with ``tensor`` applied to each tensor. Raises ``NotRebuildable`` for foreign objects."""
    if isinstance(tree, Tensor):
        return tensor(tree)
    if isinstance(tree, _PLAIN):
        return tree
    if isinstance(tree, np.ndarray | np.generic):
        return tree.copy()
    if depth and isinstance(tree, Mapping):
        return {key: kept(value, tensor, module, depth - 1) for key, value in tree.items()}
    if depth and type(tree) in (tuple, list):
        return type(tree)(kept(value, tensor, module, depth - 1) for value in tree)
    raise NotRebuildable(_FOREIGN(module=module, seen=type(tree).__name__))


def filled(tree: Any, outputs: Mapping[Placeholder, Tensor]) -> Any:
    """The tree with every placeholder replaced by its tensor."""
    if isinstance(tree, Placeholder):
        return outputs[tree]
    if isinstance(tree, dict):
        return {key: filled(value, outputs) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(filled(value, outputs) for value in tree)
    return tree


def placeholders(tree: Any) -> Iterator[Placeholder]:
    """All placeholders of a tree, in order."""
    if isinstance(tree, Placeholder):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from placeholders(value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from placeholders(value)


def shape_of(tree: Any) -> Any:
    """The form of a tree without its tensors: two updates of one program have equal forms."""
    if isinstance(tree, Tensor):
        return ("tensor", tree.dim(), str(tree.dtype))
    if isinstance(tree, Placeholder):
        return tree
    if isinstance(tree, dict):
        return tuple((str(key), shape_of(value)) for key, value in tree.items())
    if isinstance(tree, tuple | list):
        return tuple(shape_of(value) for value in tree)
    return type(tree).__name__
