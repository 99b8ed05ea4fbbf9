"""The modules of an update as one module, and its loss as one function of what they return."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.tree import Placeholder, filled, leaves
from losscope.objective.rebuild.update import Call, KeptTerm

Outputs = dict[Placeholder, Tensor]

_UNKNOWN = Text(en="a term of the loss is not known: {kind}", zh="损失中有一项未识别：{kind}")
_NOT_ALONE = Text(
    en="{kind} cannot be computed again from the outputs of {modules} and what the graph keeps",
    zh="无法由 {modules} 的输出和计算图保存的内容重新计算 {kind}",
)


class Program(nn.Module):
    """Calls modules one after the other, each with constants and outputs of earlier ones; returns all outputs.

    ``forward(arguments)`` takes the arguments of every call, with placeholders, and returns the tensors that are
    wanted: the loss is computed from these.
    """

    def __init__(
        self, parts: Sequence[nn.Module], calls: Sequence[Call], wanted: Sequence[Placeholder]
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.training = any(part.training for part in parts)
        self.order = [call.part for call in calls]
        self.autocasts: list[tuple[str, Any] | None] = [call.autocast for call in calls]
        self.wanted = list(wanted)

    def shown_name(self, parameter: str) -> str:
        """The name of a parameter as the user knows it."""
        return parameter.removeprefix("parts.0." if len(self.parts) == 1 else "parts.")

    def forward(self, arguments: Sequence[Any]) -> tuple[Tensor, ...]:
        outputs: Outputs = {}
        for number, (part, autocast, given) in enumerate(
            zip(self.order, self.autocasts, arguments, strict=True)
        ):
            run(self.parts[part], number, given, autocast, outputs)
        return tuple(outputs[place] for place in self.wanted)


def run(module: nn.Module, number: int, given: Any, autocast: Any, outputs: Outputs) -> None:
    """One call; what it returns is added to ``outputs``."""
    positional, named = filled(given, outputs)
    with torch.autocast(autocast[0], dtype=autocast[1]) if autocast else nullcontext():
        found = module(*positional, **named)
    outputs.update({Placeholder(number, i): leaf for i, leaf in enumerate(leaves(found))})


class SumLoss:
    """Σ factor · output, after the calls of criteria: modules without parameters, which belong to the loss."""

    def __init__(
        self, program: Program, criteria: Sequence[tuple[int, Call, nn.Module]], sources: Sequence[Any]
    ) -> None:
        self.wanted, self.criteria, self.sources = list(program.wanted), list(criteria), list(sources)

    def __call__(self, predictions: Sequence[Tensor], arguments: Mapping[int, Any]) -> Tensor:
        outputs = dict(zip(self.wanted, predictions, strict=True))
        for number, call, module in self.criteria:
            run(module, number, arguments[number], call.autocast, outputs)
        return sum((f * outputs[p].reshape(()) for f, p in self.sources[1:]), start=self._first(outputs))

    def _first(self, outputs: Outputs) -> Tensor:
        factor, place = self.sources[0]
        return factor * outputs[place].reshape(())


class TermsLoss:
    """Σ coefficient · loss of the catalogue, of forms of the outputs that experiments found."""

    def __init__(self, pieces: Sequence[tuple[float, Callable[[Sequence[Tensor], Any], Tensor]]]) -> None:
        self.pieces = list(pieces)

    def __call__(self, predictions: Sequence[Tensor], targets: Sequence[Any]) -> Tensor:
        values = [c * f(predictions, t) for (c, f), t in zip(self.pieces, targets, strict=True)]
        return sum(values[1:], start=values[0])


Judged = Callable[[Sequence[Tensor], Any], Tensor]


def loss_of_term(
    term: KeptTerm, predictions: Sequence[Tensor], modules: str, tolerance: float
) -> tuple[Judged, str]:
    """The function of the predictions and the target whose value is the term's, and the name of the target.

    Which output is judged, in what shape and after what activation, and what the target is where the graph does not
    keep it, is found by trying: the value decides. Raises ``NotRebuildable``.
    """
    if term.spec is None or term.spec.function is None:
        raise NotRebuildable(_UNKNOWN(kind=term.kind))
    targets = [("", term.target)] if term.target is not None or not term.candidates else term.candidates
    if term.value is not None and not term.weighted:
        allowed = tolerance * max(abs(term.value), 1e-3)
        for function, (name, target) in product(_functions(term, predictions), targets):
            value = _tried(function, predictions, target)
            if value is not None and abs(value - term.value) <= allowed:
                return function, name
    raise NotRebuildable(_NOT_ALONE(kind=term.kind, modules=modules))


def _functions(term: KeptTerm, predictions: Sequence[Tensor]) -> Iterator[Judged]:
    """The term's loss of every output in every form."""
    for place, prediction in enumerate(predictions):
        for form, reduced in product(_forms(prediction), _reductions(term)):
            yield _applied(term, place, form, reduced)


def _tried(function: Any, predictions: Sequence[Tensor], target: Any) -> float | None:
    try:
        with torch.no_grad():
            value = function(predictions, target)
    except Exception:  # noqa: BLE001  shapes that a loss does not take are one try less
        return None
    return float(value) if isinstance(value, Tensor) and value.numel() == 1 else None


Form = Callable[[Tensor], Tensor]


def _forms(prediction: Tensor) -> Iterator[Form]:
    """Ways in which code hands an output to a loss: as it is, in other shapes, after an activation."""
    shapes: list[Form] = [lambda t: t]
    if prediction.dim() > 2:
        shapes += [
            lambda t: t.reshape(-1, t.shape[-1]),
            lambda t: t.movedim(-1, 1),
            lambda t: t[..., :-1, :].reshape(-1, t.shape[-1]),
            lambda t: t[..., :-1, :].movedim(-1, 1),
            lambda t: t[:, -1],
        ]
    if prediction.dim():
        shapes += [lambda t: t.squeeze(-1), lambda t: t.flatten(), lambda t: t.squeeze()]
    activations: list[Form] = [
        lambda t: t,
        lambda t: torch.log_softmax(t, 1 if t.dim() > 1 else 0),
        lambda t: torch.softmax(t, -1),
        torch.sigmoid,
        torch.tanh,
        torch.relu,
        torch.exp,
    ]
    for activation in activations:
        for shape in shapes:
            yield lambda t, a=activation, s=shape: a(s(t))


def _reductions(term: KeptTerm) -> list[str]:
    return {"sum": ["sum"], "batchmean": ["sum/batch", "batchmean"]}.get(term.reduction, ["mean"])


def _applied(term: KeptTerm, place: int, form: Form, reduction: str) -> Callable[[Any, Any], Tensor]:
    """The term's function with its options, of one output in one form."""
    assert term.spec is not None and term.spec.function is not None
    function, known = term.spec.function, inspect.signature(term.spec.function).parameters
    options = {n: v for n, v in term.options.items() if n in known and n not in ("input", "target")}
    takes_target = sum(1 for a in term.spec.arguments) > 1

    def loss(predictions: Sequence[Tensor], target: Any) -> Tensor:
        judged = form(predictions[place])
        given = dict(options)
        for name, value in given.items():
            if isinstance(value, list) and value and isinstance(value[0], float):
                given[name] = torch.tensor(value, dtype=judged.dtype, device=judged.device)
        if "reduction" in known:
            given["reduction"] = "sum" if reduction == "sum/batch" else reduction
        value = (
            function(judged, _fitted(target, judged), **given) if takes_target else function(judged, **given)
        )
        return value / judged.shape[0] if reduction == "sum/batch" else value

    return loss


def _fitted(target: Any, judged: Tensor) -> Any:
    """A target as the graph keeps it, in the shape that the loss takes: the prediction's, or that without classes."""
    if not isinstance(target, Tensor):
        return target
    shape = judged.shape if target.is_floating_point() else (*judged.shape[:1], *judged.shape[2:])
    return target.reshape(shape) if target.numel() == math.prod(shape) else target


@contextmanager
def generators(state: tuple[Tensor, Tensor | None]) -> Iterator[None]:
    """Torch's generators in a state of before, for a while."""
    cuda = state[1] is not None
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if cuda else []):
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1])
        yield
