"""Finds losses of the catalogue in a live graph by the graphs of their own functions.

A search tree over the first operations of every loss tells in a few microseconds which losses a node may be. Only
those are called, on a few drawn numbers, to make their templates; a training run therefore calls no function whose
operations its own objective does not have. What the tree holds was found beforehand and is read from a file.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from losscope.anatomy.survey import FILE, Candidate, survey, version
from losscope.losses.catalogue import specs
from losscope.losses.graph.fit import Template, fit, structure
from losscope.losses.graph.node import Node
from losscope.losses.graph.template import COMMUTATIVE, SKIPPED, Match, NotATemplate, Pattern, operation
from losscope.losses.graph.trace import Form
from losscope.losses.spec import LossSpec

T = TypeVar("T")
_ENTRIES = ""  # the key of a tree under which the losses that end there stand


class Tree:
    """Losses by the operations along the spines of their templates, from the root down."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._structures: dict[tuple[str, Form], Pattern | None] = {}
        self._templates: dict[tuple[str, Form], Template | None] = {}

    def add(self, spec: LossSpec, candidate: Candidate) -> None:
        place = self._root
        for op in candidate.spine:
            place = place.setdefault(op, {})
        place.setdefault(_ENTRIES, []).append((spec, candidate))

    def candidates(self, node: Node) -> list[tuple[LossSpec, Candidate]]:
        """Losses whose spine begins at ``node``."""
        found: dict[int, tuple[LossSpec, Candidate]] = {}
        if node.op not in SKIPPED:
            for entry in self._walk(self._root, node):
                found[id(entry)] = entry
        return list(found.values())

    def _walk(self, tree: dict[str, Any], node: Node) -> Iterator[tuple[LossSpec, Candidate]]:
        node = node.skip(SKIPPED)
        op = operation(node)
        below = tree.get(op)
        if below is None:
            return
        yield from below.get(_ENTRIES, ())
        children = [child for child in node.inputs if child is not None]
        for child in children if op in COMMUTATIVE else children[:1]:
            yield from self._walk(below, child)

    def template(self, spec: LossSpec, candidate: Candidate, node: Node) -> Template | None:
        """The template of a candidate whose operations are those below ``node``, made when it is first wanted."""
        key = (spec.name, candidate.form)
        if key in self._templates:
            return self._templates[key]
        if key not in self._structures:
            self._structures[key] = _made(structure, spec, candidate.form)
        pattern = self._structures[key]
        if pattern is None or not Match(pattern).at(node):
            return None
        made = self._templates[key] = _made(fit, spec, candidate.form)
        return made


_AS_STORED = ("2.11",)
"""Other versions of torch with which the same surveys were made."""


def _made(maker: Callable[[LossSpec, Form], T], spec: LossSpec, form: Form) -> T | None:
    try:
        return maker(spec, form)
    except NotATemplate:
        return None


@cache
def tree() -> Tree:
    """Every loss that the graph of its function shows."""
    made = Tree()
    known = _stored()
    for name, spec in specs().items():
        if spec.function is None:
            continue
        found = known.get(name)
        for candidate in survey(spec).candidates if found is None else found:
            made.add(spec, candidate)
    return made


def _stored() -> dict[str, list[Candidate]]:
    """Surveys made beforehand; none where they were made with another torch."""
    try:
        document = json.loads(FILE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    if version() not in (document["torch"], *_AS_STORED):
        return {}
    return {
        name: [
            Candidate(Form(form[0], form[1], tuple(form[2])), tuple(spine), refines, proof)
            for form, spine, refines, proof in rows
        ]
        for name, rows in document["losses"].items()
    }
