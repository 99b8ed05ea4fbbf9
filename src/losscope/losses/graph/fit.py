"""A template with what is known about its constants: which define the loss, which are options, which depend on sizes.

The function is called again with other inputs, other sizes and other options. A constant that never changes defines
the loss and must agree in a live graph; one that follows an option tells the option's value; one that follows sizes is
free. The same comparison shows where autograd keeps the targets.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.places import OPERAND, Place, in_domain, kept, kept_tensors, place_of, taken_from
from losscope.losses.graph.saved import Many, constant, constants, is_number, same_constant, varies
from losscope.losses.graph.template import Entry, Hole, Match, NotATemplate, Pattern
from losscope.losses.graph.trace import Form, Traced, apart, options_of, parameters, trace
from losscope.losses.spec import LossSpec

Key = tuple[int, str]
_EXCHANGED = {"self": "other", "other": "self"}
# How a constant may follow an option: linearly in one of these, given with their inverses.
_CURVES: tuple[tuple[Callable[[float], float], Callable[[float], float]], ...] = (
    (lambda v: v, lambda c: c),
    (lambda v: 1 / v, lambda c: 1 / c),
    (lambda v: v * v, math.sqrt),
    (lambda v: 1 / (v * v), lambda c: 1 / math.sqrt(c)),
    (math.sqrt, lambda c: c * c),
    (math.exp, math.log),
    (math.cos, math.acos),
    (math.sin, math.asin),
)


@dataclass(frozen=True, slots=True)
class Follows:
    """The constant at ``key`` is slope·curve(option) + intercept."""

    key: Key
    curve: int
    slope: float
    intercept: float

    def option(self, value: Any) -> float | None:
        """The option's value for a constant."""
        if not is_number(value):
            return None
        try:
            return _CURVES[self.curve][1]((value - self.intercept) / self.slope)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Template:
    """How one form of a loss looks in a graph, and how to read it.

    ``strict`` constants define the loss, ``regular`` ones differ only where an option takes it to a special case;
    ``tensors`` are constant tensors. ``follows``, ``unseen`` and ``unknown`` are its options: told by constants, not
    told by any, and not numbers. ``places`` are where arguments are kept; ``difference`` is prediction - target.
    """

    spec: LossSpec
    form: Form
    pattern: Pattern
    strict: Mapping[int, Mapping[str, Any]]
    regular: Mapping[Key, Any]
    tensors: Mapping[Key, Tensor]
    follows: Mapping[str, tuple[Follows, ...]]
    unseen: tuple[str, ...]
    unknown: tuple[str, ...]
    places: Mapping[int, Place]
    difference: int | None
    weight: int

    def match(self, node: Node) -> "Bound | None":
        """The loss with its root at ``node``, or ``None``."""
        match = Match(self.pattern, self._agrees)
        if not match.at(node):
            return None
        for key, expected in self.tensors.items():
            if not same_constant(expected, _live(match, key)):
                return None
        regular = all(same_constant(value, _live(match, key)) for key, value in self.regular.items())
        options = self._options(match)
        if options is None:
            if regular:
                return None
            options = {}
        targets = {k: _kept(match, place) for k, place in self.places.items()}
        for k, target in targets.items():
            if target is not None and not in_domain(self.spec.arguments[k], target):
                return None
        kept = {k: t for k, t in targets.items() if t is not None}
        return Bound(self, match.nodes, match.holes, options, kept, regular)

    def _agrees(self, place: int, node: Node, swapped: bool) -> bool:
        return all(
            same_constant(expected, constant(node, _EXCHANGED.get(name, name) if swapped else name))
            for name, expected in self.strict.get(place, {}).items()
        )

    def _options(self, match: Match) -> dict[str, Any] | None:
        """Options as the constants tell, ``None`` where two constants tell different values."""
        found: dict[str, Any] = {}
        for name, followers in self.follows.items():
            values = [f.option(_live(match, f.key)) for f in followers]
            known = [v for v in values if v is not None]
            if len(known) < len(values) or any(
                abs(v - known[0]) > 1e-4 * abs(known[0]) + 1e-9 for v in known
            ):
                return None
            default = parameters(self.spec.function)[name].default  # pyright: ignore[reportArgumentType]
            value = _rounded(known[0])
            if is_number(default) and abs(value - default) <= 1e-6 * abs(default):
                value = default
            found[name] = round(value) if isinstance(default, int) and value == round(value) else value
        return found


@dataclass(frozen=True, slots=True)
class Bound:
    """A template found in a live graph. ``regular``: its constants are those of no special case."""

    template: Template
    nodes: Mapping[int, Node]
    holes: Mapping[int, Hole]
    options: Mapping[str, Any]
    tensors: Mapping[int, Tensor]
    regular: bool


def _rounded(value: float) -> float:
    """Six digits, where the rest is the rounding of float32."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 5e-7 * abs(value) else value


def _live(match: Match, key: Key) -> Any:
    place, name = key
    return constant(match.nodes[place], _EXCHANGED.get(name, name) if place in match.swapped else name)


def _kept(match: Match, place: Place) -> Tensor | None:
    exchanged = place.entry in match.swapped and place.name != OPERAND
    name = _EXCHANGED.get(place.name, place.name) if exchanged else place.name
    tensor = kept(match.nodes[place.entry], name, place.item)
    return None if tensor is None else taken_from(place, tensor)


def structure(spec: LossSpec, form: Form) -> Pattern:
    """The operations of one form of a loss, by one call."""
    with apart():
        traced = trace(spec, form)
    pattern = Pattern(traced.pattern.entries, ())
    traced.close()
    return pattern


def fit(spec: LossSpec, form: Form) -> Template:
    """The template of one form of a loss. Raises ``NotATemplate`` where its graph is not always the same.

    Calls the function about twice for each numeric option, some tenths of a millisecond each.
    """
    with apart():
        base = trace(spec, form)
        other = other_sizes(spec, form)
        if not base.pattern.like(other.pattern):
            raise NotATemplate("its graph depends on the sizes or on the values of its inputs")
        values = _constants(base.pattern)
        fixed = {
            k for k, v in _constants(other.pattern).items() if k in values and same_constant(values[k], v)
        }
        options = _Options(spec, form, base, {k: values[k] for k in fixed})
        strict: dict[int, dict[str, Any]] = {}
        tensors: dict[Key, Tensor] = {}
        for key in sorted(fixed - options.moving):
            if isinstance(values[key], Tensor):
                tensors[key] = values[key]
            else:
                strict.setdefault(key[0], {})[key[1]] = values[key]
        for key in set(values) - fixed:
            if varies(base.pattern.nodes[key[0]], key[1]) and varies(other.pattern.nodes[key[0]], key[1]):
                strict.setdefault(key[0], {})[key[1]] = Many()
        special = [c for n in range(len(spec.variants)) if (c := _variant(spec, form, n, base)) is not None]
        regular = {
            (place, name): value
            for place, named in strict.items()
            for name, value in named.items()
            if any(not same_constant(value, c.get((place, name))) for c in special)
        }
        for place, name in regular:
            del strict[place][name]
        template = Template(
            spec=spec,
            form=form,
            pattern=Pattern(base.pattern.entries, ()),
            strict=strict,
            regular=regular,
            tensors=tensors,
            follows=options.follows,
            unseen=options.unseen,
            unknown=options.unknown,
            places=_places(spec, form, base, other),
            difference=_difference(base.pattern.entries),
            weight=base.pattern.weight,
        )
        base.close()
        other.close()
        return template


def other_sizes(spec: LossSpec, form: Form) -> Traced:
    """A call with other values, sizes and precision; where the sizes are not free, with other values alone."""
    for growth in ("all", "free"):
        try:
            return trace(spec, form, seed=1, growth=growth, dtype=torch.float64)
        except NotATemplate:
            continue
    return trace(spec, form, seed=1, dtype=torch.float64)


def _constants(pattern: Pattern) -> dict[Key, Any]:
    return {
        (i, name): value for i, node in enumerate(pattern.nodes) for name, value in constants(node).items()
    }


def options_to_try(spec: LossSpec, form: Form) -> dict[str, Any]:
    """Options that are numbers, or several, with their values in this form."""
    assert spec.function is not None
    given = options_of(spec, form)
    found = {n: given.get(n, p.default) for n, p in parameters(spec.function).items()}
    return {n: v for n, v in found.items() if _is_finite(v) or _is_several(v)}


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _is_several(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() > 0 and not value.is_complex() and value.dtype is not torch.bool
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_finite, value))


def _other_values(spec: LossSpec, name: str, value: Any) -> tuple[Any, Any]:
    assert spec.function is not None
    if isinstance(value, Tensor):
        more = torch.arange(1, value.numel() + 1, device=value.device).reshape(value.shape)
        return value + more.to(value.dtype), value + (2 * more).to(value.dtype)
    if isinstance(value, list | tuple):
        first = [v + i if isinstance(v, int) else v * (1 - 0.01 * i) for i, v in enumerate(value, 1)]
        return type(value)(first), type(value)(first)
    parameter = parameters(spec.function)[name]
    if isinstance(value, int) and "float" not in str(parameter.annotation):
        return value + 1, value + 2
    return (0.9 * value, 0.8 * value) if value else (0.1, 0.2)


class _Options:
    """What each option does to the constants of a template.

    ``follows`` says how constants follow it; ``unseen`` are numbers that no constant tells, ``unknown`` lists and
    tensors that matter, which none can tell; ``moving`` are all constants that depend on options.
    """

    def __init__(self, spec: LossSpec, form: Form, base: Traced, values: Mapping[Key, Any]) -> None:
        self.follows: dict[str, tuple[Follows, ...]] = {}
        moved: dict[str, set[Key]] = {}
        samples: dict[str, list[tuple[float, dict[Key, Any]]]] = {}
        unseen, unknown = [], []
        for name, value in options_to_try(spec, form).items():
            one, two = _other_values(spec, name, value)
            first = _changed(spec, form, base, {name: one})
            if first is None:
                continue
            then, result = first
            moved[name] = {k for k, v in values.items() if not same_constant(v, then.get(k))}
            if not is_number(value):
                unknown += [name] * (bool(moved[name]) or not torch.equal(result, base.value))
            elif moved[name]:
                second = _changed(spec, form, base, {name: two})
                samples[name] = [(value, dict(values)), (one, then), (two, second[0] if second else {})]
            else:
                unseen.append(name)
        self.moving = set().union(*moved.values())
        for name, sample in samples.items():
            alone = moved[name].difference(*(keys for other, keys in moved.items() if other != name))
            fitted = tuple(f for key in sorted(alone) if (f := _follow(key, sample)) is not None)
            if fitted:
                self.follows[name] = fitted
            else:
                unseen.append(name)
        self.unseen, self.unknown = tuple(unseen), tuple(unknown)


def _changed(
    spec: LossSpec, form: Form, base: Traced, options: Mapping[str, Any]
) -> tuple[dict[Key, Any], Tensor] | None:
    """Constants and value with other options; ``None`` where they change the structure, or are refused."""
    try:
        traced = trace(spec, form, options)
    except NotATemplate:
        return None
    found = (_constants(traced.pattern), traced.value) if traced.pattern.like(base.pattern) else None
    traced.close()
    return found


def _variant(spec: LossSpec, form: Form, variant: int, base: Traced) -> dict[Key, Any] | None:
    """Constants under another set of options."""
    options = options_of(spec, form._replace(variant=variant))
    found = _changed(spec, form, base, options) if options != options_of(spec, form) else None
    return found[0] if found is not None else None


def _follow(key: Key, samples: list[tuple[float, dict[Key, Any]]]) -> Follows | None:
    options = [v for v, _ in samples]
    found = [c.get(key) for _, c in samples]
    if not all(map(is_number, found)):
        return None
    for index, (curve, _) in enumerate(_CURVES):
        try:
            x = [curve(v) for v in options]
            slope = (found[1] - found[0]) / (x[1] - x[0])  # pyright: ignore[reportOptionalOperand]
            intercept = found[0] - slope * x[0]
            left = abs(slope * x[2] + intercept - found[2])
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        if slope and left <= 1e-5 * (abs(found[2] - found[0])):  # pyright: ignore[reportOptionalOperand]
            intercept = 0.0 if abs(intercept) < 1e-6 * abs(found[0]) else intercept  # pyright: ignore
            return Follows(key, index, _rounded(slope), _rounded(intercept))
    return None


def _places(spec: LossSpec, form: Form, base: Traced, other: Traced) -> dict[int, Place]:
    """Where the arguments without a gradient are kept; the same place must serve in both calls."""
    places: dict[int, Place] = {}
    for i, (node, twin) in enumerate(zip(base.pattern.nodes, other.pattern.nodes, strict=True)):
        second = {(name, item): tensor for name, item, tensor in kept_tensors(twin)}
        for name, item, tensor in kept_tensors(node):
            if (name, item) not in second:
                continue
            for k, argument in enumerate(spec.arguments):
                if k in form.arguments:
                    continue
                found = place_of(Place(i, name, item), tensor, base.case[k], argument)
                if found is None or (k in places and places[k].rank <= found.rank):
                    continue
                if place_of(Place(i, name, item), second[name, item], other.case[k], argument) == found:
                    places[k] = found
    return {k: place for k, place in places.items() if _always(spec, form, base, k, place)}


def _always(spec: LossSpec, form: Form, base: Traced, argument: int, place: Place) -> bool:
    """Whether the argument follows in the same way from what is kept there whatever the options are."""
    if place.rank[0] == 0:
        return True
    for name, value in options_to_try(spec, form).items():
        try:
            traced = trace(spec, form, {name: _other_values(spec, name, value)[0]})
        except NotATemplate:
            continue
        if traced.pattern.like(base.pattern):
            tensor = kept(traced.pattern.nodes[place.entry], place.name, place.item)
            start = Place(place.entry, place.name, place.item)
            if (
                tensor is None
                or place_of(start, tensor, base.case[argument], spec.arguments[argument]) != place
            ):
                return False
        traced.close()
    return True


def _difference(entries: tuple[Entry, ...]) -> int | None:
    """The entry that is prediction minus target."""
    for i, entry in enumerate(entries):
        children = entry.children
        if entry.op == "Sub" and len(children) == 2 and None in children:
            child = children[0] or children[1]
            if child is not None and child.argument is not None:
                return i
    return None
