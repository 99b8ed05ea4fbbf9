"""Recognises an objective with signatures and templates, and believes a template only as far as values agree."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from losscope.anatomy.bound import evaluated, reading_of
from losscope.anatomy.catalogue import tree
from losscope.anatomy.recognise import Found, recognise
from losscope.anatomy.survey import Candidate, is_inside
from losscope.losses.graph.fit import Bound, options_to_try
from losscope.losses.graph.linear import Decomposition
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.trace import may_trace
from losscope.losses.graph.values import output
from losscope.losses.spec import LossSpec

UNCONFIRMED = "value-not-confirmed"  # recognised by its operations, without what it takes to compute it again
_TRIES = 64  # nodes of one objective that are compared with templates
_ROUNDS = 3
_SECANT_STEPS = 12
_EXACT, _SINGLE, _COARSE = 1e-7, 5e-4, 2e-2  # of a value computed again in float64, float32, and less


@dataclass(slots=True)
class _Claim:
    """A loss found by its template: with which options, and whether its function gives the value in the graph."""

    part: Part
    bound: Bound
    proof: bool
    options: Mapping[str, Any]
    value: Tensor | None = None
    proven: bool = False


class Finder:
    """Looks for losses in one objective."""

    def __init__(self) -> None:
        self._usable = may_trace()
        self._tries = 0
        self._refused: set[str] = set()
        self._claims: dict[int, _Claim] = {}

    def recognise(self, root: Node) -> tuple[list[Found], Decomposition]:
        """Everything the objective is a sum of. What its function does not give the value of is refused."""
        found, decomposition = recognise(root, self.match)
        for _ in range(_ROUNDS):
            doubtful = self._doubtful(found, decomposition, root)
            if not doubtful:
                break
            self._refused |= doubtful
            self._claims.clear()
            found, decomposition = recognise(root, self.match)
        return [self._settled(item) for item in found], decomposition

    def match(self, part: Part, known: Found | None) -> Found | None:
        """The loss at ``part``, or ``None``. What a signature made of it (``known``) is only refined, never replaced:
        by a loss that computes what the known one judges."""
        kind = known.spec.name if known is not None and known.spec is not None else None
        if not self._usable or self._tries >= _TRIES:
            return None
        candidates = [
            (spec, candidate)
            for spec, candidate in tree().candidates(part.node)
            if (kind is None or candidate.refines == kind) and spec.name not in self._refused
        ]
        self._tries += bool(candidates)
        claims = [
            c
            for spec, candidate in candidates
            if (c := self._claim(part, known, spec, candidate)) is not None
        ]
        if not claims:
            return None
        best = max(claims, key=lambda c: (c.bound.template.weight, c.proven))
        self._claims[id(part)] = best
        return Found(part, best.bound.template.spec, reading_of(best.bound))

    def _claim(self, part: Part, known: Found | None, spec: LossSpec, candidate: Candidate) -> _Claim | None:
        template = tree().template(spec, candidate, part.node)
        bound = template.match(part.node) if template is not None else None
        if bound is None:
            return None
        if known is not None and not is_inside(known.reading, {id(h.core) for h in bound.holes.values()}):
            return None
        claim = _Claim(part, bound, candidate.proof or not bound.regular, bound.options)
        return claim if _holds(claim, output(part.node)) else None

    def _settled(self, item: Found) -> Found:
        """With the options that the value told, and a note where no value spoke for the loss."""
        claim = self._claims.get(id(item.part))
        if claim is None or item.reading is None:
            return item
        options = item.reading.options | dict(claim.options)
        notes = item.reading.notes if claim.proven else (*item.reading.notes, UNCONFIRMED)
        return replace(item, reading=replace(item.reading, options=options, notes=notes))

    def _doubtful(self, found: list[Found], decomposition: Decomposition, root: Node) -> set[str]:
        """Names of losses that the value of the whole objective speaks against, or that lack their proof."""
        claims = [c for item in found if (c := self._claims.get(id(item.part))) is not None and not c.proven]
        if not claims:
            return set()
        for claim in claims:
            if claim.value is not None:
                claim.part.node.known = claim.value
        whole = output(root)
        values = [_contribution(item) for item in found]
        numbers = [v for v in values if v is not None]
        if whole is None or decomposition.constant or len(numbers) < len(values):
            return {c.bound.template.spec.name for c in claims if c.proof}
        precision = _precision(whole) * (abs(float(whole)) + sum(map(abs, numbers)))
        rest = float(whole) - sum(numbers)
        if abs(rest) <= precision:
            for claim in claims:
                claim.proven = claim.value is not None
            return {c.bound.template.spec.name for c in claims if c.proof and not c.proven}
        for claim in claims:
            own = claim.part.value()
            if own is not None and _solve(claim, float(own) + rest, precision, through=True):
                claim.proven = True
                return set()
        return {c.bound.template.spec.name for c in claims}


def _holds(claim: _Claim, seen: Tensor | None) -> bool:
    """Whether the loss's function may have made what was ``seen`` at its node. Sets the value that it gives."""
    claim.value = value = evaluated(claim.bound, claim.options)
    if value is None or seen is None:
        return True
    if not _close(value, seen) and not _solve(
        claim, float(seen.sum()), _precision(seen) * float(seen.abs().sum())
    ):
        return False
    claim.proven = claim.value is not None and _close(claim.value, seen)
    return claim.proven


def _close(value: Tensor, seen: Tensor) -> bool:
    precision = _precision(seen)
    size = float(seen.abs().max()) if seen.numel() else 0.0
    return bool(torch.allclose(value.to(seen.dtype), seen, precision, precision * size, equal_nan=True))


def _precision(tensor: Tensor) -> float:
    if tensor.element_size() >= 8:
        return _EXACT
    return _SINGLE if tensor.dtype is torch.float32 else _COARSE


def _contribution(item: Found) -> float | None:
    parts: Sequence[Part] = item.reading.consumed if item.reading and item.reading.consumed else (item.part,)
    values = [part.value() for part in parts]
    if any(v is None or v.numel() != 1 for v in values):
        return None
    return sum(float(v) for v in values if v is not None)


def _solve(claim: _Claim, wanted: float, precision: float, *, through: bool = False) -> bool:
    """Find options that autograd does not keep, such as a margin, by the loss's value.

    The loss's own variants are tried first, then one number after another; only numbers of three digits count, what a
    person writes. ``wanted`` is the sum over the node, or with ``through`` what the part adds to the objective.
    """
    template, node = claim.bound.template, claim.part.node

    def excess(options: Mapping[str, Any]) -> float:
        claim.options = {**claim.bound.options, **options}
        claim.value = node.known = evaluated(claim.bound, claim.options)
        total = claim.value if not through else claim.part.value()
        return math.nan if total is None else float(total.sum()) - wanted

    kept = (node.known, claim.value, claim.options)
    for options in template.spec.variants:
        numbers = {n: v for n, v in options.items() if n != "reduction"}
        if numbers and abs(excess(numbers)) <= precision:
            return True
    for name in template.unseen:
        start = options_to_try(template.spec, template.form)[name]
        if _root(lambda value, name=name: excess({name: value}), start, precision):
            return True
    node.known, claim.value, claim.options = kept
    return False


def _root(excess: Callable[[float], float], start: float, precision: float) -> bool:
    """Whether ``excess`` is 0 for some number of three digits; the last call is with that number. Secants."""
    if abs(excess(0.0)) <= precision:
        return True
    x, y = start, 1.1 * start if start else 0.1
    fx, fy = excess(x), excess(y)
    for _ in range(_SECANT_STEPS):
        if fx == fy or math.isnan(fx) or math.isnan(fy):
            break
        x, y, fx = y, y - fy * (y - x) / (fy - fx), fy
        fy = excess(y)
        if abs(fy) >= abs(fx) and abs(fx) <= precision:
            break
    return math.isfinite(y) and abs(excess(float(f"{y:.3g}"))) <= precision
