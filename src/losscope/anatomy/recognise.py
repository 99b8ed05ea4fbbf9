"""Matches the parts of an objective with the losses that losscope knows."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

from losscope.losses.catalogue import specs
from losscope.losses.graph.linear import Decomposition, parts_of
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.spec import Combination, LossSpec, Reading, Signature

_FEW = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A part, or several parts together, and what they are; ``spec`` ``None`` where nothing is known."""

    part: Part
    spec: LossSpec | None = None
    reading: Reading | None = None


@cache
def _signatures() -> dict[str, list[tuple[LossSpec, Signature]]]:
    index: dict[str, list[tuple[LossSpec, Signature]]] = {}
    for spec in specs().values():
        for signature in spec.signatures:
            for op in signature.ops:
                index.setdefault(op, []).append((spec, signature))
    return index


@cache
def _combinations() -> dict[str, list[tuple[LossSpec, Combination]]]:
    index: dict[str, list[tuple[LossSpec, Combination]]] = {}
    for spec in specs().values():
        for combination in spec.combinations:
            for op in combination.ops:
                index.setdefault(op, []).append((spec, combination))
    return index


def by_signature(part: Part) -> Found | None:
    """The loss whose signature, written by hand, matches ``part``."""
    for spec, signature in _signatures().get(part.node.op, ()):
        reading = signature.match(part)
        if reading is not None:
            return Found(part, spec, reading)
    return None


def recognise(
    root: Node, further: Callable[[Part, Found | None], Found | None] | None = None
) -> tuple[list[Found], Decomposition]:
    """Everything the objective is a sum of, in the order of the code.

    ``further`` is asked about every part with what a signature made of it, and may answer with something better.
    """
    readings: dict[int, Found] = {}

    def is_whole(part: Part) -> bool:
        known = by_signature(part)
        found = (further(part, known) if further is not None else None) or known
        if found is not None:
            readings[id(part)] = found
        return found is not None

    decomposition = parts_of(root, is_whole)
    parts = decomposition.parts
    combined, used = _combine(parts, readings.keys())
    found: list[Found] = []
    for part in parts:
        if id(part) in combined:
            found.append(combined[id(part)])
        elif id(part) not in used:
            found.append(readings.get(id(part)) or Found(part))
    return _collapse(found), decomposition


def _combine(parts: list[Part], recognised: Collection[int]) -> tuple[dict[int, Found], set[int]]:
    """Losses that are several parts, or a part that no signature claimed.

    Gives what was found by the id of its first part, and the ids of all parts used. Readings of several
    parts come first, so that a general reading of one part cannot take a part away from them.
    """
    combined: dict[int, Found] = {}
    used: set[int] = set()
    index = _combinations()
    # In a long sum, such as a loop over time, only what nothing else explains can be a part of a part.
    free = parts if len(parts) <= _FEW else [p for p in parts if id(p) not in recognised]
    for several in (True, False) if free else ():
        for part in parts:
            if id(part) in used or (not several and id(part) in recognised):
                continue
            for spec, combination in index.get(part.node.op, ()):
                reading = combination.match(part, free)
                if reading is not None and (len(reading.consumed) > 1) is several:
                    ids = {id(p) for p in reading.consumed}
                    first = next(p for p in parts if id(p) in ids)
                    combined[id(first)] = Found(part, spec, reading)
                    used |= ids
                    free = [p for p in free if id(p) not in ids]
                    break
    return combined, used


def _collapse(found: list[Found]) -> list[Found]:
    """Put unrecognised parts of one elementwise expression together again."""
    groups: dict[int, list[Found]] = {}
    for item in found:
        if item.part.anchor is not None and item.spec is None:
            groups.setdefault(id(item.part.anchor.node), []).append(item)
    known = {id(i.part.anchor.node) for i in found if i.part.anchor is not None and i.spec is not None}
    result: list[Found] = []
    seen: set[int] = set()
    for item in found:
        anchor = item.part.anchor
        if (
            anchor is None
            or item.spec is not None
            or id(anchor.node) in known
            or (len(groups[id(anchor.node)]) == 1 and not _is_sum(anchor))
        ):
            result.append(item)
        elif id(anchor.node) not in seen:
            seen.add(id(anchor.node))
            result.append(Found(anchor))
    return result


def _is_sum(anchor: Part) -> bool:
    return anchor.node.op in ("Add", "Sub", "Rsub")
