"""A loss's own graph as a template: operations and structure, with holes where the predictions go.

Nothing here is written by hand: the template is the autograd graph that the loss's function makes of drawn inputs
(``trace.py``), and a live graph that matches it was made by the same operations in the same order. Views and
casts are skipped on both sides, because they depend on shapes; sizes are free. Whether constants agree is the
business of ``fit.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import VIEWS

SKIPPED = VIEWS - {"NanToNum"}
COMMUTATIVE = frozenset({"Add", "Mul", "Maximum", "Minimum"})
_RESHAPES = frozenset({"View", "UnsafeView", "ReshapeAlias", "ViewAs", "Squeeze", "Unsqueeze"})
# The same operation under other names: by the number of axes, or of rows.
_ALIASES = {"NllLoss2D": "NllLoss", "EuclideanDist": "Cdist", "Bmm": "Mm"}
# Operations that nearly every objective has: they say little about which loss it is.
_PLAIN = frozenset({"Add", "Neg", "Rsub", "Sum", "Mean", "Cat", "Stack"})
MAX_ENTRIES = 300
_STEPS_PER_ENTRY = 8
_CUSTOM_WEIGHT = 3  # an autograd.Function of Python's is one class of one library


class Child(NamedTuple):
    """One differentiable input: ``entry`` is its place in the template, or -1 - k for the k-th argument."""

    entry: int
    views: tuple[str, ...] = ()

    @property
    def argument(self) -> int | None:
        return -1 - self.entry if self.entry < 0 else None


class Entry(NamedTuple):
    """One output of one operation. ``custom`` is the class of a Python ``autograd.Function``."""

    op: str
    variant: int
    output: int
    custom: type | None
    children: tuple[Child | None, ...]

    def like(self, other: "Entry") -> bool:
        """Equal but for views, which depend on shapes."""
        return self[:4] == other[:4] and [c and c.entry for c in self.children] == [
            c and c.entry for c in other.children
        ]


class NotATemplate(Exception):
    """The graph of the function cannot serve as a template; the message says why."""


class Pattern(NamedTuple):
    """The entries of a template, the root first, and the nodes that they were made of."""

    entries: tuple[Entry, ...]
    nodes: tuple[Node, ...]

    @property
    def arguments(self) -> frozenset[int]:
        """Positions of the arguments that some operation takes."""
        return frozenset(c.argument for e in self.entries for c in e.children if c and c.argument is not None)

    @property
    def weight(self) -> int:
        """How many operations say something: neither views and sums nor products with one constant number."""
        return sum(_informative(e, n) for e, n in zip(self.entries, self.nodes, strict=True))

    @property
    def spine(self) -> tuple[str, ...]:
        """Operations from the root down along the first differentiable inputs: what a search looks for first."""
        ops, place = [], 0
        while place >= 0:
            entry = self.entries[place]
            ops.append(entry.op)
            place = next(child.entry for child in entry.children if child is not None)
        return tuple(ops)

    def like(self, other: "Pattern") -> bool:
        """The same operations in the same order, whatever the sizes."""
        return len(self.entries) == len(other.entries) and all(
            a.like(b) for a, b in zip(self.entries, other.entries, strict=True)
        )


def _informative(entry: Entry, node: Node) -> int:
    if entry.custom is not None:
        return _CUSTOM_WEIGHT
    if entry.op in _PLAIN:
        return 0
    if entry.op in ("Mul", "Div") and None in entry.children:
        other = node.saved("other") if entry.children[1:] == (None,) else node.saved("self")
        return int(other is not None and other.numel() > 1)
    return int(entry.variant == 0 or entry.op not in ("Mul", "Div"))


def operation(node: Node) -> str:
    """The operation's name; one name for what differs only by the number of axes."""
    return _ALIASES.get(node.op, node.op)


def custom_class(node: Node) -> type | None:
    """The class of a Python ``autograd.Function``, which identifies it better than its name."""
    return type(node.fn) if node.variant < 0 else None


def grow(root: Node, marks: Mapping[Any, int]) -> Pattern:
    """The template of the graph below ``root``. ``marks`` tells which autograd node is which argument."""
    entries: list[Entry | None] = []
    nodes: list[Node] = []
    places: dict[int, int] = {}

    def child(node: Node | None) -> Child | None:
        if node is None:
            return None
        views: list[str] = []
        while node.fn not in marks and node.op in SKIPPED and node.inputs[0] is not None:
            views.append(node.op)
            node = node.inputs[0]
        if node.fn in marks:
            return Child(-1 - marks[node.fn], tuple(views))
        if id(node) not in places:
            if node.op == "leaf":
                raise NotATemplate("it has parameters of its own")
            if len(entries) >= MAX_ENTRIES:
                raise NotATemplate(f"more than {MAX_ENTRIES} operations")
            place = places[id(node)] = len(entries)
            entries.append(None)
            nodes.append(node)
            below = tuple(child(n) for n in node.inputs)
            entries[place] = Entry(operation(node), node.variant, node.index, custom_class(node), below)
        return Child(places[id(node)], tuple(views))

    top = child(root)
    if top is None or top.entry < 0:
        raise NotATemplate("the prediction itself")
    found = tuple(e for e in entries if e is not None)
    if any(not any(e.children) for e in found):
        raise NotATemplate("an operation without differentiable inputs")
    return Pattern(found, tuple(nodes))


class Hole(NamedTuple):
    """The live node in the place of an argument, and the same below all views."""

    node: Node
    core: Node


class Match:
    """A live graph against a template: which node stands for which entry, which for which argument."""

    def __init__(self, pattern: Pattern, agree: Callable[[int, Node, bool], bool] | None = None) -> None:
        self.entries = pattern.entries
        self.nodes: dict[int, Node] = {}
        self.holes: dict[int, Hole] = {}
        self.swapped: set[int] = set()
        self._agree = agree
        self._taken: set[int] = set()
        self._steps = _STEPS_PER_ENTRY * len(pattern.entries)

    def at(self, node: Node) -> bool:
        """Whether the template fits with its root at ``node``."""
        return self._entry(0, node) and self._distinct()

    def _distinct(self) -> bool:
        cores = {id(hole.core) for hole in self.holes.values()}
        return len(cores) == len(self.holes)

    def _child(self, child: Child | None, node: Node | None) -> bool:
        if child is None or node is None:
            return child is None and node is None
        if child.argument is not None:
            return self._hole(child.argument, child.views, node)
        return self._entry(child.entry, node.skip(SKIPPED))

    def _hole(self, argument: int, views: tuple[str, ...], node: Node) -> bool:
        for view in views:
            below = node.inputs[0] if node.inputs else None
            if below is not None and (node.op == view or {node.op, view} <= _RESHAPES):
                node = below
        core = node.skip(SKIPPED)
        known = self.holes.get(argument)
        if known is None:
            self.holes[argument] = Hole(node, core)
        return known is None or known.core is core

    def _entry(self, place: int, node: Node) -> bool:
        known = self.nodes.get(place)
        if known is not None or id(node) in self._taken:
            return known is node
        entry = self.entries[place]
        self._steps -= 1
        if (
            self._steps < 0
            or operation(node) != entry.op
            or node.variant != entry.variant
            or node.index != entry.output
            or custom_class(node) is not entry.custom
            or len(node.inputs) != len(entry.children)
        ):
            return False
        return any(self._try(place, node, swapped) for swapped in _orders(entry, node))

    def _try(self, place: int, node: Node, swapped: bool) -> bool:
        if self._agree is not None and not self._agree(place, node, swapped):
            return False
        entry = self.entries[place]
        # Only where there is another order to try must a failure leave no trace.
        kept = self._kept() if entry.op in COMMUTATIVE else None
        self.nodes[place] = node
        self._taken.add(id(node))
        if swapped:
            self.swapped.add(place)
        inputs = node.inputs[::-1] if swapped else node.inputs
        if all(map(self._child, entry.children, inputs)):
            return True
        if kept is not None:
            self.nodes, self.holes, self.swapped, self._taken = kept
        return False

    def _kept(self) -> tuple[dict[int, Node], dict[int, Hole], set[int], set[int]]:
        return dict(self.nodes), dict(self.holes), set(self.swapped), set(self._taken)


def _orders(entry: Entry, node: Node) -> Iterator[bool]:
    """Whether the inputs are taken in exchanged order: as they are first."""
    yield False
    if entry.op in COMMUTATIVE and len(entry.children) == 2 and node.option("alpha", 1) == 1:
        yield True
