"""What is hooked, and how: torch's own extension points where they exist, in-place insertion elsewhere.

All hooks lead to :class:`losscope.watching.watch.Watch`. Nothing is attached to an object of the user's.
"""

import inspect
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
import torch.amp.grad_scaler
import torch.nn.utils.clip_grad
import torch.utils
import torch.utils.data
from torch.autograd import graph
from torch.nn import functional
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from losscope.watching.instrument import Instrumentation, NotInstrumentable
from losscope.watching.schedulers import Schedulers
from losscope.watching.watch import Watch
from losscope.watching.weak_tensors import return_to_all, step_aside

_EXTRA_LOSSES = (
    "cross_entropy",
    "linear_cross_entropy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
)


def loss_functions() -> dict[str, Callable[..., Any]]:
    """torch's functional losses by name."""
    names = [n for n in dir(functional) if n.endswith("_loss")] + list(_EXTRA_LOSSES)
    found = {n: getattr(functional, n, None) for n in names}
    return {n: f for n, f in found.items() if inspect.isfunction(f)}


class Hooks:
    """Installs every hook; ``blind`` lists those that could not be, with the reason."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._code = Instrumentation()
        self._handles: list[Any] = []
        self.blind: list[tuple[str, str]] = []

    def install(self) -> None:
        watch = self._watch
        self._insert(
            graph._engine_run_backward,
            before=watch.fast.before_backward,
            lastly=watch.after_backward,
            arguments=("t_outputs", "args", "kwargs"),
            gate=watch.gate,
        )
        self._handles = [
            register_optimizer_step_pre_hook(watch.fast.before_step),
            register_optimizer_step_post_hook(watch.fast.after_step),
        ]
        self._insert(Optimizer.__init__, after=_passing(watch.optimizer_made), arguments=("self",))
        names = watch.deep.names
        self._insert(torch.nn.Module.__init__, before=names.note_module, arguments=("self",), traced=True)
        self._insert(torch.utils.data.DataLoader.__iter__, before=watch.loader_starts, arguments=("self",))
        self._insert_clipping(watch)
        for writing in (torch.nn.Module.load_state_dict, torch.nn.Module.apply):
            self._insert(writing, before=_overwrites(watch), arguments=("self",), traced=True)
        scale = torch.amp.grad_scaler.GradScaler.scale
        self._insert(scale, after=_passing(watch.scaled, result=True), arguments=("self",))
        Schedulers(watch).insert(self._insert)
        for function, before, arguments in watch.evaluations.modes.hooks():
            self._insert(function, before=before, arguments=arguments, traced=True)
        self._insert(
            torch.utils.swap_tensors,
            before=step_aside,
            lastly=return_to_all,
            arguments=("t1", "t2"),
        )
        for name, function in loss_functions().items():
            self._insert_loss(name, function)

    def remove(self) -> None:
        """Take every hook out again."""
        self._code.remove()
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _insert_clipping(self, watch: Watch) -> None:
        module = torch.nn.utils.clip_grad
        noted = _passing(watch.clipped, result=True)
        self._insert(module.clip_grad_norm_, after=noted, arguments=("max_norm",), traced=True)
        scaling = getattr(module, "_clip_grads_with_norm_", None)
        for function in (scaling, module.clip_grad_value_):
            if function is not None:
                self._insert(function, before=watch.clips, arguments=("parameters",), traced=True)

    def _insert_loss(self, name: str, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters)
        kind = {"mse_loss": "mse", "l1_loss": "l1"}.get(name, name)
        computed, sites = self._watch.loss_computed, self._watch.deep.sites

        def after(result: Any, inputs: Any, reduction: Any = "mean") -> Any:
            if kind not in sites or not result.requires_grad:
                computed(kind, result, inputs, reduction)
            return result

        arguments = (parameters[0], *(["reduction"] if "reduction" in parameters else []))
        self._insert(function, after=after, arguments=arguments, traced=True)

    def _insert(self, function: Callable[..., Any], **how: Any) -> None:
        try:
            self._code.insert(function, **how)
        except NotInstrumentable as error:
            self.blind.append((getattr(function, "__qualname__", repr(function)), str(error)))


def _overwrites(watch: Watch) -> Callable[[Any], None]:
    """``before`` hook of calls that may write to all parameters of a module."""

    def before(module: Any) -> None:
        if watch.off:
            return
        began = perf_counter()
        try:
            if watch.overwriting.expected(module.parameters()):
                watch.fast.leave()
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            watch.caught("overwriting", error)
        watch.governor.charge_extra(perf_counter() - began)

    return before


def _passing(method: Callable[..., None], *, result: bool = False) -> Callable[..., Any]:
    """``after`` hook that calls ``method`` and hands the function's own result through."""

    def after(value: Any, *arguments: Any) -> Any:
        if result:
            method(value, *arguments)
        else:
            method(*arguments)
        return value

    return after
