"""A loss under examination: how to call it, and how to draw inputs for it."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from losscope.checks.ambient import kept
from losscope.checks.forks import Forked, one_process
from losscope.checks.pace import counted
from losscope.losses.arguments import SIZES, Argument, Sizes, draw_case
from losscope.losses.spec import LossSpec, Options, needed_options

Case = tuple[Tensor, ...]
Loss = Callable[..., Any]


class Raised(Exception):
    """The loss itself raised ``error`` on a case."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(f"{type(error).__name__}: {first_line(error)}")


class NotALoss(Exception):
    """What the callable returned is no tensor of real numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """``call(*case, **options)`` is the loss. ``arguments`` say what it takes, ``spec`` is its contract if known.

    ``accepts`` are the names of options that it takes; ``rebuild(options)`` makes the same loss with other options
    (``None`` where that is not possible). ``source`` are the lines that make ``loss`` in a repro, ``sourced(options)``
    those that make it with more options. ``described``: the contract describes this very implementation; ``by_value``:
    it was found since the values are the same, so that what it says may not hold where they were not compared.
    ``defaults`` are the options as the loss itself chooses them, ``names`` those that it gives its arguments.
    ``remembering`` is the loss as it is, where its value depends on earlier calls and ``call`` starts anew each time.
    ``by_attribute``: other options are set on a live module, which may have computed something from the old ones.
    """

    name: str
    call: Loss
    arguments: tuple[Argument, ...]
    options: Options = field(default_factory=dict)
    spec: LossSpec | None = None
    sizes: Sizes = field(default_factory=lambda: SIZES)
    accepts: frozenset[str] = frozenset()
    rebuild: Callable[[Mapping[str, Any]], Loss] | None = None
    source: str = ""
    sourced: Callable[[Mapping[str, Any]], str] | None = None
    described: bool = False
    by_value: bool = False
    defaults: Options = field(default_factory=dict)
    remembering: Loss | None = None
    names: tuple[str, ...] = ()
    by_attribute: bool = False

    def option(self, name: str) -> Any:
        """What an option is: as given, or the loss's own default; ``None`` where it is unknown."""
        return self.options[name] if name in self.options else self.defaults.get(name)

    def __call__(self, *case: Tensor) -> Tensor:
        """The loss of one case, which it cannot change. Raises :class:`Raised` for its errors, :class:`NotALoss` for
        a wrong result."""
        return self.on(*(value if value.requires_grad else value.clone() for value in case))

    def on(self, *case: Tensor) -> Tensor:
        """The loss of these very tensors."""
        try:
            with one_process(), kept(), counted():
                result = self.call(*case)
        except (KeyboardInterrupt, MemoryError):
            raise
        except Forked:
            raise NotALoss("it forks: a copy of the process came back from the call") from None
        except BaseException as error:
            raise Raised(error) from error
        return as_tensor(result)

    def value(self, case: Sequence[Tensor]) -> Tensor:
        """A single number: the result itself, or the sum of an unreduced one."""
        result = self(*case)
        return result if result.dim() == 0 else result.sum()

    def case(self, seed: int = 0, scale: float = 1.0, **sizes: int) -> Case:
        """Ordinary inputs in float64. ``sizes`` replaces lengths of axes for this case."""
        return draw_case(self.arguments, seed, {**self.sizes, **sizes}, scale)

    def cases(self, count: int, scales: Sequence[float] = (1.0,), **sizes: int) -> Iterator[Case]:
        """``count`` cases at each scale."""
        for scale in scales:
            for seed in range(count):
                yield self.case(seed, scale, **sizes)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of its arguments, in order."""
        return tuple(argument.kind for argument in self.arguments)

    @property
    def predictions(self) -> tuple[int, ...]:
        """Positions of the arguments that the loss is differentiated by."""
        return tuple(i for i, a in enumerate(self.arguments) if a.role == "prediction")

    @property
    def targets(self) -> tuple[int, ...]:
        return tuple(i for i, a in enumerate(self.arguments) if a.role == "target")

    def kind(self, position: int) -> str:
        return self.arguments[position].kind

    def axis(self, position: int, name: str = "N") -> int | None:
        """Which axis of an argument is called ``name``."""
        axes = (self.arguments[position].axes or self.arguments[position].of.axes).split()
        return axes.index(name) if name in axes else None

    def count(self, case: Sequence[Tensor]) -> int:
        """The number of samples of a case, 1 where no argument has such an axis."""
        sizes = (value.shape[axis] for i, value in enumerate(case) if (axis := self.axis(i)) is not None)
        return next(sizes, 1)

    def rows(self, case: Sequence[Tensor], index: Tensor) -> Case:
        """The samples ``index`` of a case."""
        picked = []
        for position, value in enumerate(case):
            axis = self.axis(position)
            picked.append(value if axis is None else value.index_select(axis, index))
        return tuple(picked)

    def with_options(self, **options: Any) -> "Subject | None":
        """The same loss with other options, or ``None`` where it does not take them."""
        if self.rebuild is None or not set(options) <= self.accepts:
            return None
        merged = {**self.options, **options}
        try:
            call = self.rebuild(merged)
        except Exception:  # noqa: BLE001  an option that the loss refuses
            return None
        text = ", ".join(f"{k}={v!r}" for k, v in options.items())
        source = self.source if self.sourced is None else self.sourced(merged)
        return replace(self, call=call, options=merged, name=f"{self.name} [{text}]", source=source)


def as_tensor(result: Any) -> Tensor:
    """The loss among what a callable returned: a tensor, the first of a tuple, the ``loss`` or the sum of a mapping."""
    if isinstance(result, tuple | list) and result:
        named = getattr(result, "loss", None)
        result = named if isinstance(named, Tensor) else result[0]
    elif isinstance(result, Mapping):
        result = result["loss"] if "loss" in result else _total(result)
    elif not isinstance(result, Tensor) and isinstance(getattr(result, "loss", None), Tensor):
        result = getattr(result, "loss")  # noqa: B009  no attribute of every class
    if not isinstance(result, Tensor):
        raise NotALoss(f"it returned {describe(result)}, not a tensor")
    if not result.dtype.is_floating_point:
        raise NotALoss(f"it returned a tensor of {result.dtype}, not of real numbers")
    if result.is_meta:
        raise NotALoss("it returned a tensor on the meta device, which holds no numbers")
    return result


def _total(named: Mapping[Any, Any]) -> Any:
    """The sum of several losses; what has no gradient beside others that do is a figure to look at."""
    tensors = [v for v in named.values() if isinstance(v, Tensor) and v.dtype.is_floating_point]
    learned = [v for v in tensors if v.requires_grad] or tensors
    if len(learned) > 1:
        return torch.stack([v.sum() for v in learned]).sum()
    return learned[0] if learned else dict(named)


def describe(value: Any) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else "(no message)")[:200]


def cast(case: Sequence[Tensor], dtype: torch.dtype) -> Case:
    """The real-valued arguments in another precision."""
    return tuple(value.to(dtype) if value.dtype.is_floating_point else value for value in case)


def with_gradient(subject: Subject, case: Sequence[Tensor]) -> Case:
    """A copy of the case whose predictions are leaves that require a gradient."""
    return tuple(
        value.detach().clone().requires_grad_() if position in subject.predictions else value.detach().clone()
        for position, value in enumerate(case)
    )


def gradients(
    subject: Subject, case: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor, Case, list[Tensor | None]]:
    """Value, the leaves, and the gradient by each prediction (``None`` where none arrives)."""
    leaves = with_gradient(subject, case)
    value = subject.value(leaves)
    inputs = [leaves[i] for i in subject.predictions]
    if not value.requires_grad:
        return value, leaves, [None] * len(inputs)
    try:
        found = torch.autograd.grad(value, inputs, create_graph=create_graph, allow_unused=True)
    except Exception as error:
        raise Raised(error) from error
    return value, leaves, list(found)


def replaced(case: Sequence[Tensor], changes: Mapping[int, Tensor]) -> Case:
    """The case with some arguments exchanged."""
    return tuple(changes.get(i, value) for i, value in enumerate(case))


def pack(subject: Subject, case: Sequence[Tensor]) -> tuple[Tensor, Callable[[Tensor], Case]]:
    """All predictions as one vector, and the way back from a vector to a case."""
    positions = subject.predictions
    flat = torch.cat([case[i].detach().reshape(-1) for i in positions])

    def unpack(vector: Tensor) -> Case:
        changes, start = {}, 0
        for i in positions:
            stop = start + case[i].numel()
            changes[i] = vector[start:stop].reshape(case[i].shape)
            start = stop
        return replaced(case, changes)

    return flat, unpack


def room(subject: Subject, case: Sequence[Tensor]) -> float:
    """How far every prediction is from the edge of its domain: differences must not step over it."""
    free = float("inf")
    for i in subject.predictions:
        kind = subject.arguments[i].of
        inside = torch.minimum(case[i] - kind.low, kind.high - case[i])
        free = min(free, float(inside.min()) if inside.numel() else free)
    return max(free, 0.0)


def packed_gradient(subject: Subject, case: Sequence[Tensor]) -> Tensor | None:
    """The gradient by all predictions as one vector, zeros where none arrives; ``None`` where there is none at all."""
    _, leaves, found = gradients(subject, case)
    if all(g is None for g in found):
        return None
    return joined([leaves[i] for i in subject.predictions], found)


def joined(inputs: Sequence[Tensor], found: Sequence[Tensor | None]) -> Tensor:
    """Gradients by ``inputs`` as one vector, zeros where none arrives."""
    pieces = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]
    return torch.cat([g.reshape(-1) for g in pieces])


def planted(name: str, function: Loss, arguments: tuple[Argument, ...], *options: str) -> Subject:
    """A function of a checker's own as a subject that takes these options."""
    return Subject(
        name=name,
        call=function,
        arguments=arguments,
        accepts=frozenset(options),
        rebuild=lambda chosen: partial(function, **chosen),
    )


def catalogue_subject(spec: LossSpec, options: Options | None = None) -> Subject:
    """A loss of the catalogue through its own function.

    Without ``options`` its defaults, or the first of ``variants`` where the function cannot do without an option.
    """
    assert spec.function is not None
    function, parameters = spec.function, inspect.signature(spec.function).parameters
    base = needed_options(spec)
    chosen = {**base, **(options or {})}
    return Subject(
        name=spec.name,
        call=partial(function, **chosen),
        arguments=spec.arguments,
        options=chosen,
        spec=spec,
        sizes=spec.lengths,
        accepts=frozenset(parameters),
        rebuild=lambda more: partial(function, **{**base, **more}),
        source=f"import torch; from {function.__module__} import {function.__name__}\nloss = {function.__name__}",
        described=True,
        names=tuple(argument.name for argument in spec.arguments),
    )
