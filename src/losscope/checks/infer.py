"""What does this loss take? Found out by trying, where nobody says so.

Candidates are the tasks that the loss accepts (:mod:`losscope.checks.candidates`). Among them behaviour decides: a
right prediction must be cheaper than a wrong one (:mod:`losscope.checks.meaning`); names, parameters and docstring add
to that. Losses of equal values are the same loss (:mod:`losscope.checks.recognise`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from losscope.checks.candidates import (
    HEAD,
    Refusal,
    Search,
    Tried,
    attempt,
    search,
    sizings,
    subject_with,
)
from losscope.checks.forgetting import forgetting, remembers
from losscope.checks.left_out import at_fault, is_option, left_out, refusal
from losscope.checks.meaning import consistent, meaning, reversed_meaning
from losscope.checks.naming import contradictions, words
from losscope.checks.ordering import Order
from losscope.checks.probing import LIKELY, OPEN
from losscope.checks.recognise import contract_of, recognised
from losscope.checks.refusals import surroundings, unfit
from losscope.checks.silence import silence
from losscope.checks.sizes import built_for, matrices
from losscope.checks.subject import NotALoss, Raised, Subject, replaced
from losscope.checks.symmetries import channels_alike, regrouped
from losscope.checks.target import Target
from losscope.core.errors import BadUsage
from losscope.losses.arguments import SIZES, Argument
from losscope.losses.catalogue import specs
from losscope.losses.spec import LossSpec
from losscope.losses.tasks import TASKS

_CASES = 3
_HINT = 0.5
"""What one point of a hint is worth beside a meaning that fits."""
_WEAK = ("the first that it accepts", "it accepts nothing else")
"""Reasons that say nothing for a task."""
_CLASSES = ("multi-class", "class-probabilities", "log-probabilities", "ordinal")
_PER_PIXEL = {
    "segmentation-one-hot-probabilities": "segmentation-probabilities",
    "segmentation-one-hot": "segmentation",
}
"""Masks of classes, and masks of which each is one of its own."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """How a loss is called: the kinds of its arguments, the name of its task, and why this one.

    ``contract`` names a loss of the catalogue with the same values; ``described``: it is that very implementation.
    ``sizes`` are the lengths of axes by which it is called, ``remembers``: its value depends on earlier calls.
    ``order`` is that of its parameters, where it is not the task's.
    """

    task: str
    why: str
    arguments: tuple[Argument, ...]
    contract: str | None = None
    described: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    remembers: bool = False
    order: Order | None = None


def infer(
    target: Target, task: str | None = None, note: Callable[[str], None] = lambda task: None
) -> Inferred:
    """How to call the target. Raises ``BadUsage`` where it takes none of the known inputs.

    ``note`` is told the name of every kind of input before it is tried.
    """
    spec = contract_of(target)
    if task is not None:
        return _with_memory(target, _given(target, task, spec, note))
    if spec is not None:
        why, sizes = f"it is {spec.name} of the catalogue", built_for(target.loss, target.options)
        found = Inferred(spec.task, why, spec.arguments, spec.name, described=True, sizes=sizes)
        _answers(target, found)
        return found
    found = search(target, note)
    if not found.accepted:
        raise _options_at_fault(target, found) or unfit(target, found)
    return _with_memory(target, _certain(target, _best(target, _not_ruled_out(found.accepted))))


def _certain(target: Target, inferred: Inferred) -> Inferred:
    """The same, where something speaks for it; what was taken for an input may be an option that was left out."""
    options = None if inferred.contract else left_out(target, _well, by_name=inferred.why not in _WEAK)
    if options is None:
        return inferred
    names, seen = options
    if any(map(is_option, names)):
        raise refusal(target, names, f"as input it fits {inferred.task} at most; {seen}")
    hint = " ".join(f"--option {name}=…" for name in names)
    return replace(inferred, why=f"{inferred.why}; perhaps an option was left out: {hint}")


def _options_at_fault(target: Target, found: Search) -> BadUsage | None:
    """The fault where an option is the reason why a loss takes no inputs."""
    if (options := left_out(target, _well)) is not None:
        return refusal(target, *options)
    return at_fault(target, _task, {r.task: r.text for r in found.refused})


def _task(target: Target, not_for: tuple[str, ...] = ()) -> str:
    """The task of a target; empty where it takes no inputs, or this for such a reason only."""
    found = search(target)
    best = _best(target, _not_ruled_out(found.accepted)) if found.accepted else None
    return best.task if best is not None and best.why not in not_for else ""


def _well(target: Target) -> str:
    """The task of a target for which something speaks."""
    return _task(target, _WEAK)


def _not_ruled_out(accepted: list[Tried]) -> list[Tried]:
    """Those that the names of the parameters contradict least; labels that are indices are no masks."""
    against = [contradictions(t.subject.names, t.task.arguments) for t in accepted]
    left = [t for t, count in zip(accepted, against, strict=True) if count == min(against)]
    if any(t.task.name == "tokens" and _indices(t.subject) for t in left):
        return [t for t in left if "mask" not in {a.kind for a in t.task.arguments}]
    return left


def _indices(subject: Subject) -> bool:
    """Whether the target is called labels, and whole numbers that are stored as real ones are refused."""
    position = subject.targets[0]
    if not {"label", "labels", "token", "tokens", "ids"} & set(words(subject.names[position])):
        return False
    case = subject.case(0)
    try:
        subject(*replaced(case, {position: case[position].double()}))
    except (Raised, NotALoss):
        return True
    return False


def _answers(target: Target, inferred: Inferred) -> None:
    """Raise ``BadUsage`` for a loss that is known and raises all the same, for its options perhaps."""
    subject = subject_of(target, inferred)
    try:
        subject(*subject.case(0))
    except Raised as error:
        raise BadUsage(f"{target.name} raises on ordinary inputs", seen=str(error)) from error
    except NotALoss:
        return


def _with_memory(target: Target, inferred: Inferred) -> Inferred:
    """Whether the loss remembers its calls."""
    return replace(inferred, remembers=remembers(subject_of(target, inferred)))


def subject_of(target: Target, inferred: Inferred) -> Subject:
    """The loss, ready to be checked."""
    spec = specs().get(inferred.contract or "")
    arguments = spec.arguments if spec else inferred.arguments
    subject = subject_with(target, arguments, spec, inferred.sizes, inferred.order)
    subject = replace(
        subject, described=inferred.described, by_value=spec is not None and not inferred.described
    )
    return forgetting(subject) if inferred.remembers else subject


def _given(target: Target, task: str, spec: LossSpec | None, note: Callable[[str], None]) -> Inferred:
    if task not in TASKS:
        raise BadUsage("unknown task", seen=task, remedy="one of: " + ", ".join(TASKS))
    chosen = TASKS[task]
    note(task)
    usual, others = sizings(target)

    def attempted(other: Target) -> Tried | Refusal:
        return attempt(other, chosen, [*usual, *others], strict=False)

    tried = attempted(target)
    if isinstance(tried, Refusal):
        cause = surroundings(target, [tried]) or at_fault(
            target, lambda other: task if isinstance(attempted(other), Tried) else "", {task: tried.text}
        )
        if cause is not None:
            raise cause
        raise BadUsage(f"{target.name} does not take the inputs of the task {task}", seen=tried.text)
    same = spec is not None and [a.kind for a in spec.arguments] == [a.kind for a in chosen.arguments]
    found = spec if same else recognised(tried.subject, target)
    name, sizes = found.name if found else None, _own(tried)
    return Inferred(task, "as given", chosen.arguments, name, described=same, sizes=sizes, order=tried.order)


def _own(tried: Tried) -> Mapping[str, int]:
    """Lengths that are not the usual ones."""
    return {axis: n for axis, n in tried.subject.sizes.items() if SIZES.get(axis) != n}


def _best(target: Target, accepted: list[Tried]) -> Inferred:
    """The survivor that the catalogue knows, else the one whose meaning and names fit best."""
    for tried in accepted:
        if (spec := recognised(tried.subject, target)) is not None:
            return _chosen(tried, "its values are those of a loss of the catalogue", spec)
    first = accepted[0]
    if first.task.name == HEAD and matrices(target.loss):
        return _chosen(first, "it has a weight matrix of its own")
    if first.task.name in _CLASSES and (groups := _groups(accepted)) is not None:
        return _chosen(groups, "other names for the same classes change nothing")
    if first.task.name in _CLASSES and (tokens := _tokens(accepted)) is not None:
        return _chosen(tokens, "the order of rows matters, that of sequences does not")
    meant = [(t, _meaning(t)) for t in accepted]
    scores = [m + _HINT * t.hints for t, m in meant]
    equals = [pair for pair, score in zip(meant, scores, strict=True) if score == max(scores)]
    best, fit = max(equals, key=lambda pair: consistent(pair[0].subject)) if len(equals) > 1 else equals[0]
    best = _less_special(best, accepted)
    return _chosen(best, _why(best, fit, len(accepted)))


def _meaning(tried: Tried) -> float:
    """How well the values agree with the task; where names hint at it, the opposite of it is a mistake in the sign."""
    found = meaning(tried.task, tried.subject)
    if found < OPEN and tried.hints and reversed_meaning(tried.task, tried.subject) >= LIKELY:
        return OPEN
    return found


def _less_special(best: Tried, accepted: list[Tried]) -> Tried:
    """Masks of classes are masks as any where the loss does not tell channels from pixels."""
    plain = next((t for t in accepted if t.task.name == _PER_PIXEL.get(best.task.name)), None)
    if plain is None or not channels_alike(best.subject):
        return best
    return plain if _meaning(plain) >= OPEN else best


def _why(best: Tried, fit: float, count: int) -> str:
    smallest = "the loss is smallest where this task says" if fit >= LIKELY else ""
    if smallest or best.hints:
        return " and ".join(filter(None, ("its names hint at it" if best.hints else "", smallest)))
    return _WEAK[0] if count > 1 else _WEAK[1]


def _chosen(tried: Tried, why: str, spec: LossSpec | None = None) -> Inferred:
    return Inferred(
        tried.task.name,
        why,
        tried.task.arguments,
        spec.name if spec else None,
        sizes=_own(tried),
        order=tried.order,
    )


def _groups(accepted: list[Tried]) -> Tried | None:
    """Labels that only say which samples belong together: the value stays when classes exchange their names."""
    found = next((t for t in accepted if t.task.name == "metric"), None)
    if found is None:
        return None
    subject = found.subject
    try:
        with silence(), torch.no_grad():
            cases = [subject.case(seed) for seed in range(_CASES)]
            renamed = [(first, labels.max() - labels) for first, labels in cases]
            pairs = [
                (float(subject.value(a)), float(subject.value(b)))
                for a, b in zip(cases, renamed, strict=True)
            ]
    except (Raised, NotALoss):
        return None
    same = all(math.isfinite(a) and abs(a - b) <= 1e-9 * (1 + abs(a)) for a, b in pairs)
    with silence(), torch.no_grad():
        return found if same and any(abs(a) > 0 for a, _ in pairs) and not regrouped(subject) else None


def _tokens(accepted: list[Tried]) -> Tried | None:
    """Rows that are the tokens of one sequence: their order matters, as where the next one is predicted."""
    by_name = {t.task.name: t for t in accepted}
    if "tokens" not in by_name or "multi-class" not in by_name:
        return None
    sequences = by_name["tokens"]
    one = _ordered(by_name["multi-class"].subject)
    return sequences if one and not _ordered(sequences.subject) else None


def _ordered(subject: Subject) -> bool:
    """Whether samples in the opposite order have another loss."""
    with silence(), torch.no_grad():
        for seed in range(_CASES):
            case = subject.case(seed)
            other = subject.rows(case, torch.arange(subject.count(case)).flip(0))
            one, two = float(subject.value(case)), float(subject.value(other))
            if abs(one - two) > 1e-5 * (1 + abs(one)):
                return True
    return False
