"""Call a loss's own function on drawn inputs and look at the graph that it makes, unseen by anybody.

The functions called are those of the catalogue; none of the user's code runs. The global random state, the
user's modes, hooks and filters of warnings do not take part and are left as they were.
"""

import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.graph.node import Graph
from losscope.losses.graph.template import NotATemplate, Pattern, grow
from losscope.losses.spec import LossSpec

_FLAGS = ("cpu", "cuda")
_threads: set[int] = set()
_GROWTH = {
    "N": 2,
    "C": 2,
    "D": 1,
    "T": 3,
    "S": 1,
    "M": 1,
    "U": 1,
}  # how much longer axes are in a second call


class Form(NamedTuple):
    """One way to call a loss: which of ``spec.variants`` (-1: none), which reduction ("": as it does by
    itself), and the positions of the arguments that need a gradient."""

    variant: int
    reduction: str
    arguments: tuple[int, ...]


class Traced(NamedTuple):
    """One call: the template of its graph, its inputs, and its value."""

    pattern: Pattern
    case: tuple[Tensor, ...]
    value: Tensor
    graph: Graph

    def close(self) -> None:
        """Let go of the call's tensors."""
        self.graph.close()


@cache
def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def options_of(spec: LossSpec, form: Form) -> dict[str, Any]:
    """The keyword arguments of a form."""
    options = dict(spec.variants[form.variant]) if form.variant >= 0 else {}
    options.pop("reduction", None)
    return options | ({"reduction": form.reduction} if form.reduction else {})


def may_trace() -> bool:
    """Whether nothing of the user's would run or be seen: no hook on saved tensors, no transform, no tracer."""
    return (
        torch._C._autograd._top_saved_tensors_default_hooks(True) is None  # pyright: ignore[reportAttributeAccessIssue]
        and torch._C._functorch.peek_interpreter_stack() is None  # pyright: ignore[reportAttributeAccessIssue]
        and torch._C._get_tracing_state() is None
        and not torch.is_inference_mode_enabled()
        and not torch.compiler.is_compiling()
    )


def is_ours() -> bool:
    """Whether this thread calls a loss here: no loss of the user's, whatever hooks see of it."""
    return get_ident() in _threads


@contextmanager
def apart(*, grad: bool = True) -> Iterator[None]:
    """Conditions that do not depend on the user's: no autocast, no function modes, no printed warnings."""
    autocast = [torch.is_autocast_enabled(device) for device in _FLAGS]
    grad_before = torch.is_grad_enabled()
    thread, inner = get_ident(), is_ours()
    _threads.add(thread)
    try:
        for device in _FLAGS:
            torch.set_autocast_enabled(device, False)
        torch._C._set_grad_enabled(grad)
        with warnings.catch_warnings(), torch._C.DisableTorchFunction():
            warnings.simplefilter("ignore")
            yield
    finally:
        if not inner:
            _threads.discard(thread)
        torch._C._set_grad_enabled(grad_before)
        for device, enabled in zip(_FLAGS, autocast, strict=True):
            torch.set_autocast_enabled(device, enabled)


class RandomState:
    """The global random states as they are now: were they used, and back to them."""

    def __init__(self) -> None:
        self._torch, self._python, self._numpy = (
            torch.get_rng_state(),
            random.getstate(),
            np.random.get_state(),
        )

    def moved(self) -> bool:
        """Whether anything was drawn since."""
        return (
            not torch.equal(self._torch, torch.get_rng_state())
            or self._python != random.getstate()
            or any(not np.array_equal(a, b) for a, b in zip(self._numpy, np.random.get_state(), strict=True))
        )

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        random.setstate(self._python)
        np.random.set_state(self._numpy)


def sizes_of(spec: LossSpec, growth: str = "") -> dict[str, int]:
    """Lengths of axes. ``growth`` "all" gives other ones, "free" only to axes that the loss does not fix itself."""
    sizes = dict(spec.lengths)
    if not growth:
        return sizes
    grown = {**_GROWTH, "H": sizes["H"], "W": sizes["W"]}
    if growth == "free":
        grown = {axis: more for axis, more in grown.items() if axis not in spec.sizes}
    return {axis: length + grown.get(axis, 0) for axis, length in sizes.items()}


def trace(
    spec: LossSpec,
    form: Form,
    changed: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    growth: str = "",
    dtype: torch.dtype = torch.float32,
) -> Traced:
    """Call ``spec.function`` in one form; to be used inside :func:`apart`. Raises ``NotATemplate``."""
    assert spec.function is not None
    case = tuple(
        t.to(dtype) if t.dtype.is_floating_point else t
        for t in draw_case(spec.arguments, seed, sizes_of(spec, growth))
    )
    # The clone of a leaf is what an output of a model is: no leaf, and with a node of its own.
    inputs = [t.requires_grad_().clone() if i in form.arguments else t for i, t in enumerate(case)]
    marks = {inputs[i].grad_fn: i for i in form.arguments}
    try:
        value = spec.function(*inputs, **options_of(spec, form) | dict(changed or {}))
    except Exception as error:
        raise NotATemplate(f"it cannot be called: {type(error).__name__}: {error}") from error
    if not isinstance(value, Tensor) or value.grad_fn is None:
        raise NotATemplate("its value has no graph")
    graph = Graph()
    root = graph.node(value.grad_fn, value.output_nr)
    return Traced(grow(root, marks), tuple(t.detach() for t in case), value.detach(), graph)
