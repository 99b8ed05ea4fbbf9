"""Which inputs a loss accepts: every task with the right number of arguments is tried, best hints first.

A task is accepted when ordinary inputs give a finite value whose gradient reaches a prediction. What a loss was built
for decides the sizes; where it refuses those, the lengths of its lists are tried as numbers of classes and columns.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from losscope.checks.forgetting import forgetting, remembers
from losscope.checks.ordering import Order, order_of, reordered
from losscope.checks.silence import silence
from losscope.checks.sizes import built_for, lengths, matrices, shapes
from losscope.checks.subject import Case, NotALoss, Raised, Subject, cast, gradients, replaced
from losscope.checks.target import Target, defaults
from losscope.losses.arguments import SIZES, Argument, Sizes
from losscope.losses.spec import LossSpec
from losscope.losses.tasks import TASKS, InputTask

HEAD = "head"
_FREE = "CDM"
_OTHERS = (2, 3, 4)
"""Sizes that are tried where nothing else is accepted."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A task that a loss accepts, and the loss with such inputs; ``hints``: how strongly names hint at it;
    ``order``: that of its parameters, where it is not the task's."""

    task: InputTask
    subject: Subject
    hints: int = 0
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task is not accepted: ``kind`` is "raised", "no loss", "not finite" or "no gradient"."""

    task: str
    kind: str
    text: str
    hints: int


@dataclass(frozen=True, slots=True)
class Search:
    """What was accepted and what was refused, best hints first."""

    accepted: list[Tried] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def search(target: Target, note: Callable[[str], None] = lambda task: None) -> Search:
    """All tasks tried; ``note`` is told the name of each before it is."""
    found = Search()
    usual, others = sizings(target)
    tasks = list(_fitting(target))
    for sizes in (usual, others):
        if found.accepted:
            break
        found.refused.clear()
        for task in tasks:
            note(task.name)
            tried = attempt(target, task, sizes)
            (found.accepted if isinstance(tried, Tried) else found.refused).append(tried)  # type: ignore[arg-type]
    return found


def sizings(target: Target) -> tuple[list[Sizes], list[Sizes]]:
    """Lengths of axes to try, in order: those that the loss tells; and those for a loss that refuses them all."""
    told = built_for(target.loss, target.options)
    found = sorted(lengths(target.loss, target.options), key=lambda n: n <= SIZES["C"])
    usual: list[Sizes] = [{axis: n for axis in _FREE} for n in found]
    longer = sum(n > SIZES["C"] for n in found)
    usual.insert(
        longer, {}
    )  # a list that is too long for the classes raises nothing, one that is too short does
    others = [{axis: n for axis in _FREE} for n in _OTHERS]
    turned = shapes(target.loss)
    return [*({**more, **told} for more in usual), *turned], [{**more, **told} for more in others]


def attempt(
    target: Target, task: InputTask, sizes: Sequence[Sizes], *, strict: bool = True
) -> Tried | Refusal:
    """The first of these sizes that the loss takes, or why it refused the first; not ``strict``: any value will do."""
    hints, refusals = hints_at(target, task), []
    named = order_of(target.parameters, task.arguments)
    for order in dict.fromkeys((named, None)):
        for lengths_of_axes in sizes:
            subject = subject_with(target, task.arguments, None, lengths_of_axes, order)
            for dtype in (torch.float64, torch.float32):
                refusal = _refusal(subject, dtype)
                if refusal is None or (not strict and refusal[0] in ("not finite", "no gradient")):
                    subject = forgetting(subject) if remembers(subject) else subject
                    return Tried(task, subject, hints, order)
                refusals.append(refusal)
    kind, text = refusals[0]
    return Refusal(task.name, kind, text, hints)


def subject_with(
    target: Target,
    arguments: tuple[Argument, ...],
    spec: LossSpec | None,
    sizes: Sizes,
    order: Order | None = None,
) -> Subject:
    """The loss with inputs of these kinds and sizes; ``order`` is that of its parameters where it is another."""
    target = reordered(target, order, arguments)
    return Subject(
        name=target.name,
        call=target.make({}),
        arguments=arguments,
        spec=spec,
        sizes={**(spec.lengths if spec else SIZES), **sizes},
        accepts=target.accepts,
        rebuild=target.make,
        options=target.options,
        source=target.source({}),
        sourced=target.source,
        defaults=defaults(target.loss),
        names=target.parameters or tuple(argument.name for argument in arguments),
        by_attribute=target.by_attribute,
    )


def hints_at(target: Target, task: InputTask) -> int:
    """How strongly names, parameters and docstring hint at a task: whole words count three, parts of words one."""
    words = set(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", target.hints).lower()))
    joined = target.hints.lower()
    whole = sum(3 for word in task.words if word in words)
    return whole + sum(1 for word in task.words if word not in words and len(word) > 3 and word in joined)


def _fitting(target: Target) -> list[InputTask]:
    """Tasks with the right number of arguments, those that the names hint at first."""
    count = len(target.parameters)
    fitting = [t for t in TASKS.values() if count == 0 or len(t.arguments) == count]
    order = list(TASKS)
    owns = bool(matrices(target.loss))
    return sorted(
        fitting, key=lambda t: (not (owns and t.name == HEAD), -hints_at(target, t), order.index(t.name))
    )


def _refusal(subject: Subject, dtype: torch.dtype) -> tuple[str, str] | None:
    try:
        with silence():
            for case in _first_cases(subject):
                value, _, found = gradients(subject, cast(case, dtype))
                if not math.isfinite(float(value.detach())):
                    return "not finite", f"the value is {float(value.detach())}"
                if all(g is None for g in found) and len(subject.arguments) > 1:
                    return "no gradient", "no gradient"
    except NotALoss as error:
        return "no loss", str(error)
    except Raised as error:
        return "raised", str(error)
    return None


def _first_cases(subject: Subject) -> Iterator[Case]:
    """An ordinary case; for classes one in which the last of them occurs."""
    case = subject.case(0)
    yield case
    last = subject.sizes.get("C", SIZES["C"]) - 1
    for position in subject.targets:
        if subject.kind(position) in ("class-index", "class-index-map", "ordinal-index"):
            labels = case[position].clone()
            labels.view(-1)[-1] = last
            yield replaced(case, {position: labels})
