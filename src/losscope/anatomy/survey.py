"""Which losses are recognised by the graph of their own function, in which forms, and which are not and why.

``python -m losscope.anatomy.survey`` writes the result to ``templates.json``, so that a training run does not have to
call every loss once to know. A loss that is not in the file is surveyed when a graph may be its own.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from losscope.anatomy.recognise import by_signature, recognise
from losscope.anatomy.reduction import name_reduction
from losscope.losses.catalogue import specs
from losscope.losses.graph.fit import other_sizes
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.template import SKIPPED, Match, NotATemplate, Pattern
from losscope.losses.graph.trace import Form, RandomState, Traced, apart, options_of, parameters, trace
from losscope.losses.spec import LossSpec, Reading

FILE = Path(__file__).with_name("templates.json")
LEAST = 3  # operations that say something; with fewer, an objective that is no loss would look like one
_DIFFERENTIABLE = frozenset(
    {"real", "unit", "positive", "distribution", "teacher-logits", "target-boxes", "reference-samples"}
)
_MANY = 4
_SEEDS = range(2, 8)


class Candidate(NamedTuple):
    """One form in which a loss may be found, and the operations from its root down by which it is looked for.

    It ``refines`` a kind whose signature matches its root as well, where it computes itself what that kind judges.
    With ``proof`` it counts only where its function gives the very value: without its outer factors, which may be
    anything, it would be another loss.
    """

    form: Form
    spine: tuple[str, ...]
    refines: str | None = None
    proof: bool = False


class Survey(NamedTuple):
    """Forms of one loss, and what stands against other forms (by the reason, once)."""

    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...]


def forms(spec: LossSpec) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Option sets and sets of arguments that need a gradient; unusual sets only with the default options."""
    predictions = tuple(
        k for k, a in enumerate(spec.arguments) if a.role == "prediction" and not a.of.integer
    )
    if not predictions:
        return
    seen: list[dict[str, Any]] = []
    usual = 0 if _needs_options(spec) else -1
    for variant in range(usual, len(spec.variants)):
        options = options_of(spec, Form(variant, "", ()))
        if not any(_same(options, other) for other in seen):
            seen.append(options)
            yield variant, predictions
    others = tuple(
        k for k, a in enumerate(spec.arguments) if a.kind in _DIFFERENTIABLE and a.role == "target"
    )
    if others:
        yield usual, tuple(sorted((*predictions, *others)))
    if 1 < len(predictions) <= _MANY:
        yield from ((usual, (k,)) for k in predictions)


def _needs_options(spec: LossSpec) -> bool:
    """Whether the loss cannot be called without options."""
    assert spec.function is not None
    return any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters(spec.function).values())


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        one[k] is other[k] or repr(one[k]) == repr(other[k]) for k in one
    )


def survey(spec: LossSpec) -> Survey:
    """Look at every form of a loss. Takes some milliseconds."""
    if spec.function is None:
        return Survey((), ("no function",))
    candidates: list[Candidate] = []
    reasons: dict[str, None] = {}
    patterns: list[Pattern] = []
    state = RandomState()
    with apart():
        for variant, arguments in forms(spec):
            try:
                found = _form(spec, variant, arguments)
            except NotATemplate as reason:
                found = []
                reasons[str(reason)] = None
            if state.moved():
                state.restore()
                return Survey((), ("it draws random numbers",))
            for candidate, pattern in found:
                if not any(pattern.like(p) for p in patterns):
                    patterns.append(pattern)
                    candidates.append(candidate)
    return Survey(tuple(candidates), tuple(reasons))


def _form(spec: LossSpec, variant: int, arguments: tuple[int, ...]) -> list[tuple[Candidate, Pattern]]:
    """The candidate of one form: the unreduced loss where its mean and sum are made of it, else both of them."""
    assert spec.function is not None
    if "reduction" not in parameters(spec.function):
        return [_candidate(spec, Form(variant, "", arguments))]
    reduced = [Form(variant, reduction, arguments) for reduction in ("mean", "sum")]
    try:
        form = Form(variant, "none", arguments)
        found = [_candidate(spec, form, whole) for whole in reduced][:1]
    except NotATemplate as reason:
        try:
            return [_candidate(spec, form) for form in reduced]
        except NotATemplate:
            raise reason from None
    if not all(_is_mean(spec, reduced[0], found[0][1], seed) for seed in _SEEDS):
        with suppress(NotATemplate):
            found += [_candidate(spec, form) for form in reduced]
    return found


def _is_mean(spec: LossSpec, form: Form, pattern: Pattern, seed: int) -> bool:
    """Whether the mean is over all elements for other inputs too, and not over those that count."""
    try:
        root = trace(spec, form, seed=seed, growth="free").pattern.nodes[0]
    except NotATemplate:
        return True
    parts = parts_of(root, lambda part: Match(pattern).at(part.node)).parts
    return len(parts) == 1 and name_reduction(parts[0], Reading())[1] == "mean"


def _candidate(spec: LossSpec, form: Form, whole: Form | None = None) -> tuple[Candidate, Pattern]:
    """The candidate for ``form``, checked on the graph of ``whole``. Raises ``NotATemplate``."""
    traced = trace(spec, form)
    pattern = traced.pattern
    if not pattern.like(other_sizes(spec, form).pattern):
        raise NotATemplate("its graph depends on the sizes or on the values of its inputs")
    if pattern.weight < LEAST:
        raise NotATemplate("too few operations")
    objective = trace(spec, whole) if whole is not None else traced
    refines, proof = _checked(spec, pattern, objective, whole or form)
    return Candidate(form, pattern.spine, refines, proof), pattern


def _checked(spec: LossSpec, pattern: Pattern, objective: Traced, form: Form) -> tuple[str | None, bool]:
    """(the kind that the template refines, whether it needs a proof). Raises where the reading by signatures stays."""
    root = objective.pattern.nodes[0]
    holes = {id(n.core) for n in _holes(objective, root).values()}
    known, _ = recognise(root)
    names = [f.spec.name if f.spec else None for f in known]
    if names == [spec.name]:
        raise NotATemplate("read by its signature")
    plain = [
        f.reading is not None
        and f.reading.prediction is not None
        and id(f.reading.prediction.skip(SKIPPED)) in holes
        for f in known
    ]
    below = (
        all(plain)
        and len(known) == 1
        and not Match(pattern).at(known[0].part.node)
        and all(isinstance(value, int | float | str) for value in options_of(spec, form).values())
    )
    if None not in names and all(plain) and not below:
        raise NotATemplate("read as " + " + ".join(str(n) for n in names))
    claimed: list[str | None] = []

    def is_whole(part: Part) -> bool:
        hand = by_signature(part)
        if Match(pattern).at(part.node) and (hand is None or is_inside(hand.reading, holes)):
            claimed.append(hand.spec.name if hand and hand.spec else None)
            return True
        return hand is not None

    parts = parts_of(root, is_whole).parts
    if len(parts) != 1 or len(claimed) != 1:
        raise NotATemplate(f"a part of it is read as {', '.join(str(n) for n in names)}")
    reduction = None if form.reduction in ("mean", "sum") and pattern is not objective.pattern else "mean"
    coefficient, named, _ = name_reduction(parts[0], Reading(reduction=reduction))
    if abs(coefficient - 1) > 1e-5 or (reduction is None and named != form.reduction):
        raise NotATemplate("its mean is not the mean of its elements")
    return claimed[0], below


def _holes(objective: Traced, root: Node) -> Any:
    match = Match(objective.pattern)
    match.at(root)
    return match.holes


def is_inside(reading: Reading | None, holes: set[int]) -> bool:
    """Whether a reading judges something that the loss itself computes, and none of its arguments."""
    if reading is None or reading.prediction is None:
        return False
    return id(reading.prediction.skip(SKIPPED)) not in holes


def stored() -> dict[str, Any]:
    """What ``templates.json`` holds: ``{"torch": version, "losses": {name: [[form, spine, refines], …]}}``."""
    surveys = {name: survey(spec) for name, spec in sorted(specs().items()) if spec.function is not None}
    return {
        "torch": version(),
        "losses": {name: [list(c) for c in s.candidates] for name, s in surveys.items()},
    }


def version() -> str:
    """The version of torch whose graphs these are; the last digit does not change them."""
    return ".".join(torch.__version__.split(".")[:2])


if __name__ == "__main__":
    compact = partial(json.dumps, separators=(",", ":"), ensure_ascii=True)
    document = stored()
    rows = ",\n".join(f"{compact(name)}:{compact(value)}" for name, value in document["losses"].items())
    FILE.write_text(f'{{"torch":{compact(document["torch"])},"losses":{{\n{rows}\n}}}}\n', encoding="ascii")
