"""A view of autograd nodes that can be read without disturbing the graph.

Reading ``node._saved_x`` of a checkpointed or offloaded tensor runs the unpack hook, that is a whole
recomputation, with its effect on the random state. ``_raw_saved_x`` tells whether there is such a hook;
where there is one the tensor counts as unknown. A tensor that was changed in place since it was saved
raises when unpacked, and counts as unknown too. Subclasses of tensors (fake, distributed, wrapped by
``torch.func``) run code of their own on every operation, so they are never touched.
"""

import re
from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

_PLAIN = (Tensor, torch.nn.Parameter, torch.nn.Buffer)
_NAME = re.compile(r"^(?P<op>\w+?)Backward(?P<variant>\d+)$")
_UNSIGNED_WRAP = 1 << 63  # negative dims are saved as unsigned 64-bit integers


@cache
def split_name(name: str) -> tuple[str, int]:
    """``"MulBackward1"`` → ``("Mul", 1)``; a Python ``autograd.Function`` keeps its full name and -1.

    >>> split_name("NllLoss2DBackward0"), split_name("MseLossBackward")
    (('NllLoss2D', 0), ('MseLossBackward', -1))
    """
    if name == "torch::autograd::AccumulateGrad":
        return "leaf", 0
    match = _NAME.match(name)
    return (match["op"], int(match["variant"])) if match else (name, -1)


def is_plain(tensor: Any) -> bool:
    """Whether reading ``tensor`` runs no code but torch's own kernels on real, strided memory."""
    return (
        type(tensor) in _PLAIN
        and tensor.layout is torch.strided
        and not tensor.is_meta
        and not tensor.is_nested
        and not is_functorch_wrapped_tensor(tensor)
    )


def signed(value: int) -> int:
    """Undo the unsigned form in which autograd hands out negative integers."""
    return value - (1 << 64) if value >= _UNSIGNED_WRAP else value


class Node:
    """One output of one autograd node. ``op`` is its name without ``Backward``; a leaf's is ``"leaf"``.

    ``users`` are the nodes seen so far that take this output, with the position at which they take it.
    ``known`` is a cache of the output: unset is ``Ellipsis``, not to be had is ``None``.
    """

    __slots__ = (
        *("graph", "fn", "index", "name", "op", "variant", "users", "known"),
        *("_inputs", "_shape", "_numel"),
    )

    def __init__(self, graph: "Graph", fn: Any, index: int) -> None:
        self.graph, self.fn, self.index = graph, fn, index
        self.name: str = fn.name()
        self.op, self.variant = split_name(self.name)
        self.users: list[tuple[Node, int]] = []
        self.known: Any = ...
        self._inputs: tuple[Node | None, ...] | None = None
        self._shape: tuple[int, ...] | None = None
        self._numel = -1

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape}>"

    @property
    def inputs(self) -> tuple["Node | None", ...]:
        """The nodes that made the differentiable inputs, ``None`` where an input needs no gradient."""
        if self._inputs is None:
            found: list[Node | None] = []
            for position, (fn, index) in enumerate(self.fn.next_functions):
                if fn is None:
                    found.append(None)
                    continue
                child = self.graph.node(fn, index)
                child.users.append((self, position))
                found.append(child)
            self._inputs = tuple(found)
        return self._inputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of this output; ``()`` where autograd does not tell."""
        if self._shape is None:
            metadata = self._metadata()
            self._shape = tuple(metadata.shape) if metadata is not None else ()
        return self._shape

    @property
    def numel(self) -> int:
        """Number of elements of this output."""
        if self._numel < 0:
            self._numel = prod(self.shape)
        return self._numel

    @property
    def dtype(self) -> torch.dtype | None:
        """Element type of this output, ``None`` where autograd does not tell."""
        metadata = self._metadata()
        return metadata.dtype if metadata is not None else None

    def _metadata(self) -> Any:
        try:
            metadata = self.fn._input_metadata[self.index]
            return None if metadata.is_cpp_nested_tensor else metadata
        except (AttributeError, IndexError, RuntimeError):
            return None

    def clear(self) -> None:
        """Let go of everything."""
        self.known, self.users, self._inputs = None, [], ()
        del self.fn, self.graph

    @property
    def leaf(self) -> Tensor | None:
        """The parameter (or input) itself, where this node accumulates a leaf's gradient."""
        return self.fn.variable if self.op == "leaf" else None

    def option(self, name: str, default: Any = None) -> Any:
        """A saved number, string or tuple of numbers, such as ``reduction`` or ``dim``."""
        value = getattr(self.fn, "_saved_" + name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return signed(value)
        if isinstance(value, tuple):
            return tuple(signed(v) if isinstance(v, int) else v for v in value)
        return value

    def saved(self, name: str) -> Tensor | None:
        """The saved tensor ``name``, detached, or ``None`` where it cannot be had for free."""
        raw = getattr(self.fn, "_raw_saved_" + name, None)
        if raw is None or isinstance(raw, tuple):
            return None
        return self._unpacked(raw, name)

    def _unpacked(self, raw: Any, name: str) -> Tensor | None:
        if raw.unpack_hook is not None:
            self.graph.notes.add("saved-tensor-hooks")
            return None
        try:
            tensor = getattr(self.fn, "_saved_" + name)
        except RuntimeError:  # freed by a backward pass, or modified in place
            self.graph.notes.add("saved-tensor-gone")
            return None
        return tensor.detach() if tensor is not None and is_plain(tensor) else None

    def saved_list(self, name: str) -> tuple[Tensor | None, ...]:
        """A saved list of tensors, such as the ``indices`` of an indexing operation."""
        raw = getattr(self.fn, "_raw_saved_" + name, None)
        if not isinstance(raw, tuple) or any(r is not None and r.unpack_hook is not None for r in raw):
            return ()
        try:
            tensors = getattr(self.fn, "_saved_" + name)
        except RuntimeError:
            return ()
        return tuple(t.detach() if t is not None and is_plain(t) else None for t in tensors)

    def skip(self, ops: frozenset[str]) -> "Node":
        """The first node below (or at) this one whose operation is not in ``ops``."""
        node = self
        while node.op in ops and node.inputs and node.inputs[0] is not None:
            node = node.inputs[0]
        return node

    def below(self, depth: int) -> Iterator["Node"]:
        """This node and its first differentiable inputs, at most ``depth`` of them."""
        node: Node | None = self
        while node is not None and depth > 0:
            yield node
            node, depth = next((i for i in node.inputs if i is not None), None), depth - 1


class Graph:
    """The nodes looked at so far, one ``Node`` per output, and what reading them has shown."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[Any, int], Node] = {}
        self.notes: set[str] = set()

    def node(self, fn: Any, index: int) -> Node:
        key = (fn, index)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(self, fn, index)
        return found

    def close(self) -> None:
        """Let go of the graph. The nodes refer to each other, and would otherwise keep every saved
        activation alive until the garbage collector runs."""
        for node in self._nodes.values():
            node.clear()
        self._nodes.clear()
