"""From kept updates to an :class:`Objective`, proved by experiment.

The program of an update is the outermost modules that were called, each on constants and on outputs of earlier ones.
The loss is a weighted sum of outputs (a criterion module; a model that returns its loss), or else what the anatomy
read: losses of the catalogue of some form of an output, and penalties. Whether that is the objective is decided by
experiment: at the parameters of the update, with the random state of its forward pass, it must have the value that
was seen and, parameter by parameter, the gradient that was in ``.grad``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from losscope.core.errors import LosscopeError
from losscope.core.text import Text
from losscope.objective.batches import Batch
from losscope.objective.objective import Objective
from losscope.objective.rebuild.program import (
    Program,
    SumLoss,
    TermsLoss,
    generators,
    loss_of_term,
    run,
)
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.tree import Placeholder, leaves, placeholders
from losscope.objective.rebuild.update import Call, KeptTerm, KeptUpdate, Root, gradient_figures

_VALUE = Text(
    en="rebuilt, the loss of update {step} is {found:.6g} where {seen:.6g} was seen: not the same objective",
    zh="重建后第 {step} 次更新的损失为 {found:.6g}，而实际为 {seen:.6g}：不是同一个目标",
)
_GRADIENT = Text(
    en="rebuilt, the gradient of update {step} differs from the one that was used by {error:.1%}",
    zh="重建后第 {step} 次更新的梯度与实际使用的梯度相差 {error:.1%}",
)
_ROOTS = Text(
    en="the backward passes of one update have losses of different kinds",
    zh="一次更新中的多次反向传播的损失种类不同",
)
_RAISED = Text(
    en="run again, the modules of the update raised {error}", zh="再次运行该次更新的模块时出错：{error}"
)
_NO_LINK = Text(en="the loss does not come from a module's output", zh="损失不是由模块的输出得到的")


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """``objective`` over the batches of ``updates`` updates, proved on update ``step``.

    ``scale``: so many times the loss's own gradient was in ``.grad`` (1, or else clipping or a loss scale).
    """

    objective: Objective
    updates: int
    step: int
    scale: float
    seconds: float


def rebuild(updates: Sequence[KeptUpdate], most: int = 8) -> Rebuilt:
    """The objective over the batches of the last ``most`` updates of one form. Raises ``NotRebuildable``.

    Cost: two evaluations and a gradient of one update.
    """
    last = updates[-1]
    alike = [u for u in updates if u.form == last.form][-most:]
    try:
        model, loss, batch_of, penalty = taken_apart(last)
        data = [batch_of(update, i) for update in alike for i in range(len(update.roots))]
        objective = Objective(model, loss, data, penalty)
        scale = _proved(objective, last, [batch_of(last, i) for i in range(len(last.roots))])
    except (NotRebuildable, LosscopeError):
        raise
    except Exception as error:
        raise NotRebuildable(_RAISED(error=f"{type(error).__name__}: {error}")) from error
    return Rebuilt(objective, len(alike), last.step, scale, sum(call.seconds for call in last.calls))


Parts = tuple[nn.Module, Callable[..., Tensor], Callable[[KeptUpdate, int], Batch], Any]


def taken_apart(update: KeptUpdate) -> Parts:
    """Model, loss, the batch of a root of an update, and the penalty."""
    roots = update.roots
    groups = [calls_of(update, i) for i in range(len(roots))]
    kinds = {
        (tuple(c.part for c in g), len(r.sources), len(r.terms)) for g, r in zip(groups, roots, strict=True)
    }
    if len(kinds) > 1 or not groups[0]:
        raise NotRebuildable(_ROOTS() if groups[0] else _NO_LINK())
    if roots[0].sources:
        return _of_sources(update, groups)
    return _of_terms(update, groups)


def calls_of(update: KeptUpdate, index: int) -> list[Call]:
    """The calls that belong to one root: those since the root before it."""
    first = update.roots[index - 1].calls if index else 0
    return update.calls[first : update.roots[index].calls]


def _local(place: Placeholder, first: int) -> Placeholder:
    return Placeholder(place.call - first, place.leaf)


def _relabelled(tree: Any, first: int) -> Any:
    if isinstance(tree, Placeholder):
        return _local(tree, first)
    if isinstance(tree, dict):
        return {key: _relabelled(value, first) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_relabelled(value, first) for value in tree)
    return tree


def _of_sources(update: KeptUpdate, groups: list[list[Call]]) -> Parts:
    """A loss that modules returned: the last ones, where they have no parameters, are its criteria."""
    calls, repeats = groups[0], len(update.roots)
    needed = _needed(calls, [place for _, place in update.roots[0].sources])
    used_later = {p.call for c in calls for p in placeholders(c.arguments)}
    criteria = [
        n
        for n in needed
        if n not in used_later
        and placeholders_in(calls[n])
        and not any(p.requires_grad for p in update.parts[calls[n].part].parameters())
    ]
    models = [n for n in needed if n not in criteria]
    renumbered, moved = _renumbered([*models, *criteria])
    sources = [(f * repeats, moved(place)) for f, place in update.roots[0].sources]
    wanted = [p for _, p in sources if p.call < len(models)]
    wanted += [moved(p) for n in criteria for p in placeholders(calls[n].arguments)]
    if not criteria:  # what a model returns beside its loss may be what that is computed from
        wanted += _seen_outputs(update, [calls[n] for n in models], moved)
    program = Program(
        *_parts(update, [calls[n] for n in models]), wanted=list(dict.fromkeys(wanted)) or _all(models)
    )
    loss = SumLoss(
        program, [(renumbered[n], calls[n], update.parts[calls[n].part]) for n in criteria], sources
    )

    def batch(other: KeptUpdate, index: int) -> Batch:
        own, first = calls_of(other, index), other.roots[index - 1].calls if index else 0
        trees = {n: _mapped(_relabelled(own[n].arguments, first), moved) for n in needed}
        inputs = [trees[n] for n in models]
        return Batch((inputs,), None, {renumbered[n]: trees[n] for n in criteria}, _samples(inputs))

    return program, loss, batch, None


def placeholders_in(call: Call) -> bool:
    """Whether a call uses an output of another."""
    return any(True for _ in placeholders(call.arguments))


def _renumbered(numbers: Sequence[int]) -> tuple[dict[int, int], Callable[[Placeholder], Placeholder]]:
    """Calls counted among those that are used, and placeholders with these numbers."""
    places = {n: i for i, n in enumerate(numbers)}

    def moved(place: Placeholder) -> Placeholder:
        if place.call not in places:
            raise NotRebuildable(_NO_LINK())
        return Placeholder(places[place.call], place.leaf)

    return places, moved


def _all(models: Sequence[int]) -> list[Placeholder]:
    return [Placeholder(len(models) - 1, 0)]


def _mapped(tree: Any, moved: Callable[[Placeholder], Placeholder]) -> Any:
    if isinstance(tree, Placeholder):
        return moved(tree)
    if isinstance(tree, dict):
        return {key: _mapped(value, moved) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_mapped(value, moved) for value in tree)
    return tree


def _needed(calls: Sequence[Call], places: Sequence[Placeholder]) -> list[int]:
    """Numbers of the calls that outputs depend on, in order. A root's own calls are counted from 0."""
    pending, found = [p.call for p in places], set()
    while pending:
        number = pending.pop()
        if number not in found:
            found.add(number)
            pending += [p.call for p in placeholders(calls[number].arguments)]
    return sorted(found)


def _parts(update: KeptUpdate, calls: Sequence[Call]) -> tuple[list[nn.Module], list[Call]]:
    """The modules that are called, each once, and the calls with their places among these."""
    places = {part: i for i, part in enumerate(dict.fromkeys(call.part for call in calls))}
    renamed = [Call(places[c.part], c.name, c.arguments, c.random, c.autocast, c.seconds) for c in calls]
    return [update.parts[part] for part in places], renamed


def _of_terms(update: KeptUpdate, groups: list[list[Call]]) -> Parts:
    """A loss that functions compute from outputs of modules, as the anatomy read it."""
    calls, repeats, root = groups[0], len(update.roots), update.roots[0]
    numbers = [n for n, c in enumerate(calls) if any(True for _ in update.parts[c.part].parameters())]
    calls_used = [calls[n] for n in numbers]
    if not calls_used:
        raise NotRebuildable(_NO_LINK())
    _, moved = _renumbered(numbers)
    outputs = _seen_outputs(update, calls_used, moved)
    wanted = list(outputs)
    predictions = list(outputs.values())
    tolerance = tolerance_of(predictions)
    modules = " and ".join(dict.fromkeys(c.name for c in calls_used))
    terms = _judging(root)
    found = [loss_of_term(term, predictions, modules, tolerance) for term in terms]
    if not found:
        raise NotRebuildable(_NO_LINK())
    pieces = [(t.coefficient * repeats, function) for t, (function, _) in zip(terms, found, strict=True)]
    program = Program(*_parts(update, calls_used), wanted=wanted)
    penalty = _penalty(program, [t for t in root.terms if _is_penalty(t)], repeats)

    def batch(other: KeptUpdate, index: int) -> Batch:
        own, first = calls_of(other, index), other.roots[index - 1].calls if index else 0
        inputs = [_mapped(_relabelled(own[n].arguments, first), moved) for n in numbers]
        terms = zip(_judging(other.roots[index]), found, strict=True)
        return Batch((inputs,), None, [t.target_named(name) for t, (_, name) in terms], _samples(inputs))

    return program, TermsLoss(pieces), batch, penalty


def _seen_outputs(
    update: KeptUpdate, calls: Sequence[Call], moved: Callable[[Placeholder], Placeholder]
) -> dict[Placeholder, Tensor]:
    """What the calls return when they are made again, at the parameters of the update."""
    probe = Program(*_parts(update, calls), wanted=[])
    with generators(calls[0].random), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        return _outputs(probe, [_mapped(c.arguments, moved) for c in calls])


def _outputs(program: Program, arguments: Sequence[Any]) -> dict[Placeholder, Tensor]:
    """All floating-point outputs of the last call of every module."""
    outputs: dict[Placeholder, Tensor] = {}
    buffers = {b: b.clone() for b in program.buffers()}
    for number, (part, given) in enumerate(zip(program.order, arguments, strict=True)):
        run(program.parts[part], number, given, program.autocasts[number], outputs)
    for buffer, before in buffers.items():
        buffer.copy_(before)
    return {p: t for p, t in outputs.items() if t.is_floating_point()}


def _judging(root: Root) -> list[KeptTerm]:
    """The terms of a root that judge predictions."""
    return [t for t in root.terms if not _is_penalty(t) and t.kind != "constant"]


def _is_penalty(term: KeptTerm) -> bool:
    return term.spec is not None and term.spec.task == "penalty"


def _penalty(program: Program, terms: Sequence[KeptTerm], repeats: int) -> Any:
    """The penalties of the loss as a function of the program."""
    if not terms:
        return None
    names = {id(p): n for n, p in program.named_parameters()}
    chosen = []
    for term in terms:
        if any(id(p) not in names for p in term.parameters) or term.spec is None:
            raise NotRebuildable(_NO_LINK())
        chosen.append(
            (term.coefficient * repeats, term.spec.function, [names[id(p)] for p in term.parameters])
        )

    def penalty(model: nn.Module) -> Tensor:
        present = dict(model.named_parameters())
        return sum((c * f(*(present[n] for n in ns)) for c, f, ns in chosen), start=torch.zeros(()))

    return penalty


def _samples(inputs: Any) -> int:
    return next((int(t.shape[0]) for t in leaves(inputs) if t.dim()), 1)


def tolerance_of(tensors: Sequence[Tensor]) -> float:
    """Relative difference that rounding in another order explains."""
    kinds = [t.dtype for t in tensors if t.is_floating_point()] or [torch.float32]
    return max(math.sqrt(torch.finfo(kind).eps) * 0.1 for kind in kinds)


def _proved(objective: Objective, update: KeptUpdate, batches: Sequence[Batch]) -> float:
    """Compare value and gradient with what was seen; returns the factor between the gradients."""
    whole, repeats = objective.whole, len(update.roots)
    buffers = {name: buffer.clone() for name, buffer in whole.named_buffers()}
    losses = []
    for index, batch in enumerate(batches):
        state = calls_of(update, index)[0].random
        with generators(state), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            losses.append(functional_call(whole, buffers, ("loss", batch), tie_weights=True) / repeats)
    if whole.penalty is not None:
        losses.append(objective.penalty_of())
    constant = sum(constant_of(root) for root in update.roots)
    total = torch.stack([loss.reshape(()) for loss in losses]).sum()
    seen, found = math.fsum(root.value for root in update.roots), float(total.detach()) + constant
    size = max(math.fsum(abs(float(loss.detach())) for loss in losses), abs(seen))
    tolerance = tolerance_of([*objective.parameters, *(loss.detach() for loss in losses)])
    if any(call.autocast for call in update.calls):
        tolerance = max(tolerance, 0.02)
    if not abs(found - seen) <= tolerance * size:
        raise NotRebuildable(_VALUE(step=update.step, found=found, seen=seen))
    names = {id(p): i for i, p in enumerate(update.parameters)}
    gradients = torch.autograd.grad(total, objective.parameters, allow_unused=True)
    ours = [(0.0, 0.0)] * len(update.parameters)
    figures = gradient_figures(zip(objective.parameters, gradients, strict=True))
    for parameter, figure in zip(objective.parameters, figures, strict=True):
        if id(parameter) in names:
            ours[names[id(parameter)]] = figure
    scale, error = compared(ours, update.gradient, [float(p.detach().norm()) for p in update.parameters])
    if not error <= 30 * tolerance:
        raise NotRebuildable(_GRADIENT(step=update.step, error=error))
    return scale


def constant_of(root: Root) -> float:
    return math.fsum(t.coefficient * (t.value or 0.0) for t in root.terms if t.kind == "constant")


def compared(
    ours: Sequence[tuple[float, float]], seen: Sequence[tuple[float, float]], sizes: Sequence[float]
) -> tuple[float, float]:
    """The factor that fits ``seen`` to ``ours`` best, and what it leaves over, relative to the gradient's norm."""
    a, b = [], []
    for (norm, product), (norm_seen, product_seen), size in zip(ours, seen, sizes, strict=True):
        a += [norm, product / size if size else 0.0]  # inner products are at most norm × size
        b += [norm_seen, product_seen / size if size else 0.0]
    square = math.fsum(x * x for x in a)
    if not square:
        return 1.0, 0.0 if not any(b) else 1.0
    scale = math.fsum(x * y for x, y in zip(a, b, strict=True)) / square
    if not scale > 0:
        return scale, 1.0
    rest = math.sqrt(math.fsum((x * scale - y) ** 2 for x, y in zip(a, b, strict=True)))
    error = rest / (scale * math.sqrt(square))
    return (1.0 if abs(scale - 1) <= 10 * max(error, 1e-6) else scale), error
