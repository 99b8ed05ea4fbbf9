"""What does this loss take? Found out by trying, where nobody says so.

Candidates are the tasks with the right number of arguments, best hints first (names, parameters, docstring). A
candidate is kept when ordinary inputs give a finite value whose gradient reaches a prediction. Among the survivors the
behaviour decides: where is the loss of one element smallest, for targets 0, 1 and 3.7? Losses of equal values on
several cases are the same loss: that is how a contract of the catalogue is found for a callable of another library.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from losscope.checks.sizes import built_for, matrices
from losscope.checks.subject import NotALoss, Raised, Subject, cast, gradients
from losscope.checks.target import Target
from losscope.core.errors import BadUsage
from losscope.losses.arguments import SIZES, Argument
from losscope.losses.catalogue import specs
from losscope.losses.spec import LossSpec
from losscope.losses.tasks import TASKS, InputTask

_CASES = 3
_HEAD = "head"


@dataclass(frozen=True, slots=True)
class Inferred:
    """How a loss is called: the kinds of its arguments, the name of its task, and why this one.

    ``contract`` names a loss of the catalogue with the same values; ``described``: it is that very implementation.
    """

    task: str
    why: str
    arguments: tuple[Argument, ...]
    contract: str | None = None
    described: bool = False


def infer(target: Target, task: str | None = None) -> Inferred:
    """How to call the target. Raises ``BadUsage`` where it takes none of the known inputs."""
    spec = _contract_of(target)
    if task is not None:
        return _given(target, task, spec)
    if spec is not None:
        return Inferred(
            spec.task, f"it is {spec.name} of the catalogue", spec.arguments, spec.name, described=True
        )
    refusals: dict[str, str] = {}
    accepted = [
        (candidate, subject)
        for candidate in _candidates(target)
        if (subject := _accepted(target, candidate, refusals)) is not None
    ]
    if not accepted:
        raise BadUsage(
            f"{target.name} gives no loss for any known kind of input",
            seen=_first_refusal(target, refusals),
            remedy="name the task: --task "
            + "|".join(list(TASKS)[:6])
            + "|… (losscope audit --help lists them)",
        )
    return _best(target, accepted)


def subject_of(target: Target, inferred: Inferred) -> Subject:
    """The loss, ready to be checked."""
    spec = specs().get(inferred.contract or "")
    subject = _subject(target, spec.arguments if spec else inferred.arguments, spec)
    return replace(
        subject, described=inferred.described, by_value=spec is not None and not inferred.described
    )


def _given(target: Target, task: str, spec: LossSpec | None) -> Inferred:
    if task not in TASKS:
        raise BadUsage("unknown task", seen=task, remedy="one of: " + ", ".join(TASKS))
    chosen = TASKS[task]
    subject = _subject(target, chosen.arguments, None)
    try:
        with _silence():
            subject.value(subject.case(0))
    except (Raised, NotALoss) as error:
        try:
            subject.value(cast(subject.case(0), torch.float32))
        except (Raised, NotALoss):
            raise BadUsage(
                f"{target.name} does not take the inputs of the task {task}", seen=str(error)
            ) from error
    same = spec is not None and [a.kind for a in spec.arguments] == [a.kind for a in chosen.arguments]
    found = spec if same else recognised(subject)
    return Inferred(task, "as given", chosen.arguments, found.name if found else None, described=same)


def _subject(target: Target, arguments: tuple[Argument, ...], spec: LossSpec | None) -> Subject:
    return Subject(
        name=target.name,
        call=target.make({}),
        arguments=arguments,
        spec=spec,
        sizes={**(spec.lengths if spec else SIZES), **built_for(target.loss, target.options)},
        accepts=target.accepts,
        rebuild=target.make,
        options=target.options,
        source=target.source({}),
        sourced=target.source,
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Warnings of a loss that is only tried out are nobody's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _contract_of(target: Target) -> LossSpec | None:
    """The catalogue's contract where the callable is the very function or module that it describes."""
    call = target.make({})
    for spec in specs().values():
        if spec.function is None or not spec.arguments:
            continue
        if call is spec.function or (spec.module is not None and type(call) is spec.module):
            return spec
    return None


def _candidates(target: Target) -> list[InputTask]:
    """Tasks with the right number of arguments, those that the names hint at first."""
    count = len(target.parameters)
    fitting = [t for t in TASKS.values() if count == 0 or len(t.arguments) == count]
    order = list(TASKS)
    owns = bool(matrices(target.loss))
    return sorted(
        fitting, key=lambda t: (not (owns and t.name == _HEAD), -_hints(target, t), order.index(t.name))
    )


def _hints(target: Target, task: InputTask) -> int:
    """How strongly names, parameters and docstring hint at a task: whole words count three, parts of words one."""
    words = set(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", target.hints).lower()))
    joined = target.hints.lower()
    whole = sum(3 for word in task.words if word in words)
    return whole + sum(1 for word in task.words if word not in words and len(word) > 3 and word in joined)


def _accepted(target: Target, task: InputTask, refusals: dict[str, str]) -> Subject | None:
    subject = _subject(target, task.arguments, None)
    for dtype in (torch.float64, torch.float32):
        try:
            with _silence():
                value, _, found = gradients(subject, cast(subject.case(0), dtype))
        except NotALoss as error:
            refusals["any loss"] = str(error)
            continue
        except Raised as error:
            refusals[task.name] = str(error)
            continue
        if not math.isfinite(float(value.detach())):
            refusals[task.name] = f"the value is {float(value.detach())}"
            continue
        if all(g is None for g in found) and len(task.arguments) > 1:
            refusals.setdefault(task.name, "no gradient")
        return subject
    return None


def _first_refusal(target: Target, refusals: dict[str, str]) -> str:
    if not refusals:
        return f"it takes {len(target.parameters)} arguments: {', '.join(target.parameters) or 'unknown'}"
    task = "any loss" if "any loss" in refusals else next(iter(refusals))
    text = refusals[task]
    return f"as {task}: {text}"


Tried = tuple[InputTask, Subject]


def _best(target: Target, accepted: list[Tried]) -> Inferred:
    """The survivor that the catalogue knows, else whose minimum lies where its task says; hints decide among equals."""
    for task, subject in accepted:
        if (spec := recognised(subject)) is not None:
            why = "its values are those of a loss of the catalogue"
            return Inferred(task.name, why, task.arguments, spec.name)
    first = accepted[0][0]
    if first.name == _HEAD and matrices(target.loss):
        return _chosen(first, "it has a weight matrix of its own")
    if first.name in _CLASSES and (groups := _groups(accepted)) is not None:
        return _chosen(groups, "other names for the same classes change nothing")
    if first.name in _CLASSES and (tokens := _tokens(accepted)) is not None:
        return _chosen(tokens, "the order of rows matters, that of sequences does not")
    hinted = _hints(target, first) > 0
    masks = [t for t in accepted if t[0].name in _MASKS]
    if masks and first.name in _MASKS:
        found = next((task for task, subject in masks if _mask_means(task, subject)), masks[0][0])
        return _chosen(found, "its names hint at it, and it is smallest where this task says")
    elementwise = [t for t in accepted if t[0].name in _ELEMENTWISE]
    if elementwise and (first.name in _ELEMENTWISE or not hinted) and not _is_index(accepted, hinted=hinted):
        behaving = _behaving(elementwise)
        if behaving is not None:
            return _chosen(behaving, "the loss is smallest where this task says")
        if not hinted:
            first = elementwise[0][0]
    why = "its names hint at it" if hinted else "the first that it accepts"
    return _chosen(first, why if len(accepted) > 1 else "it accepts nothing else")


_CLASSES = ("multi-class", "class-probabilities", "log-probabilities", "ordinal")


def _groups(accepted: list[Tried]) -> InputTask | None:
    """Labels that only say which samples belong together: the value stays when classes exchange their names."""
    found = next(((task, subject) for task, subject in accepted if task.name == "metric"), None)
    if found is None:
        return None
    task, subject = found
    try:
        with _silence(), torch.no_grad():
            cases = [subject.case(seed) for seed in range(_CASES)]
            renamed = [(first, labels.max() - labels) for first, labels in cases]
            pairs = [
                (float(subject.value(a)), float(subject.value(b)))
                for a, b in zip(cases, renamed, strict=True)
            ]
    except (Raised, NotALoss):
        return None
    same = all(math.isfinite(a) and abs(a - b) <= 1e-9 * (1 + abs(a)) for a, b in pairs)
    return task if same and any(abs(a) > 0 for a, _ in pairs) else None


def _tokens(accepted: list[Tried]) -> InputTask | None:
    """Rows that are the tokens of one sequence: their order matters, as where the next one is predicted."""
    by_name = {task.name: (task, subject) for task, subject in accepted}
    if "tokens" not in by_name or "multi-class" not in by_name:
        return None
    task, sequences = by_name["tokens"]
    return task if _ordered(by_name["multi-class"][1]) and not _ordered(sequences) else None


def _ordered(subject: Subject) -> bool:
    """Whether samples in the opposite order have another loss."""
    with _silence(), torch.no_grad():
        for seed in range(_CASES):
            case = subject.case(seed)
            other = subject.rows(case, torch.arange(subject.count(case)).flip(0))
            one, two = float(subject.value(case)), float(subject.value(other))
            if abs(one - two) > 1e-5 * (1 + abs(one)):
                return True
    return False


def _chosen(task: InputTask, why: str) -> Inferred:
    return Inferred(task.name, why, task.arguments)


def _is_index(accepted: list[Tried], *, hinted: bool) -> bool:
    """A loss that takes indices of classes is meant for them, unless its names hint at something else."""
    return not hinted and accepted[0][0].name == "multi-class"


_ELEMENTWISE = ("regression", "binary", "binary-probabilities", "margin", "counts", "positive-regression")


_MASKS = frozenset(task.name for task in TASKS.values() if task.arguments[-1].kind == "mask")


def _mask_means(task: InputTask, subject: Subject) -> bool:
    """Whether a loss of masks takes scores or probabilities, as its task says.

    On a mask with both kinds of pixels a loss of scores has settled at right scores of ±8: twice as large ones hardly
    change it. A loss of probabilities that is given scores goes on falling.
    """
    prediction, target = subject.case(0)
    answer = target.reshape(prediction.shape)

    def value(given: Tensor) -> float:
        try:
            return float(subject.value((given, target)))
        except (Raised, NotALoss):
            return math.nan

    with _silence():
        if task.arguments[0].kind == "mask-logits":
            nothing, sure, surer = (value(size * (2 * answer - 1)) for size in (0.0, 8.0, 16.0))
            return sure < nothing and abs(surer - sure) <= 0.05 * (nothing - sure)
        return value(0.99 * answer + 0.005) < value(torch.full_like(answer, 0.5)) < value(1 - answer)


def _behaving(accepted: list[Tried]) -> InputTask | None:
    """Which meaning of (prediction, target) the loss has, from where it is smallest."""
    for task, subject in accepted:
        with _silence():
            if _MEANINGS[task.name](lambda x, t, s=subject: _filled(s, x, t)):
                return task
    return None


def _filled(subject: Subject, prediction: float, target: float) -> float:
    """The loss where all predictions and all targets are the same two numbers; infinite where it refuses."""
    case = subject.case(0)
    try:
        return float(subject.value((torch.full_like(case[0], prediction), torch.full_like(case[1], target))))
    except (Raised, NotALoss):
        return math.inf


Value = Callable[[float, float], float]


def _smallest(value: Value, target: float, at: float, others: Iterable[float]) -> bool:
    here = value(at, target)
    return math.isfinite(here) and all(here < value(x, target) for x in others)


def _is_logit(value: Value) -> bool:
    rises = _smallest(value, 1.0, 6.0, (1.0, 0.0, -3.0)) or _smallest(value, 1.0, 3.0, (0.0, -3.0))
    return rises and _smallest(value, 0.0, -3.0, (0.0, 1.0, 3.0))


_MEANINGS: dict[str, Callable[[Value], bool]] = {
    "regression": lambda v: _smallest(v, 3.7, 3.7, (2.0, 6.0)) and _smallest(v, -1.3, -1.3, (1.3, -3.0)),
    "binary": _is_logit,
    "binary-probabilities": lambda v: (
        _smallest(v, 1.0, 0.99, (0.5, 0.1)) and _smallest(v, 0.0, 0.01, (0.5, 0.9)) and not _is_logit(v)
    ),
    "margin": lambda v: _smallest(v, 1.0, 3.0, (0.0, -1.0)) and _smallest(v, -1.0, -3.0, (0.0, 1.0)),
    "counts": lambda v: _smallest(v, 3.0, math.log(3.0), (0.0, 3.0)),
    "positive-regression": lambda v: _smallest(v, 3.7, 3.7, (2.0, 6.0)),
}


def recognised(subject: Subject) -> LossSpec | None:
    """The catalogue's loss that has the same arguments and the same values on several cases."""
    kinds = [a.kind for a in subject.arguments]
    try:
        with _silence(), torch.no_grad():
            cases = [
                subject.case(seed, scale) for seed, scale in zip(range(_CASES), (1.0, 3.0, 0.3), strict=True)
            ]
            values = [float(subject.value(case)) for case in cases]
    except (Raised, NotALoss):
        return None
    for spec in specs().values():
        if spec.function is None or [a.kind for a in spec.arguments] != kinds or spec.sizes:
            continue
        if _equal(spec, cases, values):
            return spec
    return None


def _equal(spec: LossSpec, cases: list[tuple[Tensor, ...]], values: list[float]) -> bool:
    assert spec.function is not None
    try:
        with torch.no_grad():
            others = [float(spec.function(*case).sum()) for case in cases]
    except Exception:  # noqa: BLE001  another loss that does not take these
        return False
    return all(abs(a - b) <= 1e-6 * (1 + abs(a)) for a, b in zip(values, others, strict=True))
