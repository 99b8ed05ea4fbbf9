"""The outermost calls of modules during one update, copied: what the objective is a function of.

Hooks for all modules stand for that one update alone. They copy the module before its forward pass and the
arguments after it, and mark the autograd nodes of its outputs, so that a later call, or the loss, is known to come from
them; no output is kept alive.
"""

import os
import weakref
from collections.abc import Callable, Iterator
from threading import get_ident
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.replica import Replica, bytes_of
from losscope.objective.rebuild.tree import Placeholder, kept, leaves
from losscope.objective.rebuild.update import Call

MARK = "losscope"
_MOST_CALLS = 64
_MODULE_SHARE = 0.1  # of the memory that is free, for a copy of the model
_MOST_BYTES = 64 << 20  # of inputs in one update

_BIG = Text(
    en="the model has {size:.2g} GB and {free:.2g} GB of memory were free: no copy was made",
    zh="模型占 {size:.2g} GB，而可用内存为 {free:.2g} GB：未作复制",
)
_BIG_INPUTS = Text(
    en="the inputs of one update exceed {limit:.0f} MB: no copy was made",
    zh="一次更新的输入超过 {limit:.0f} MB：未作复制",
)
_MANY = Text(
    en="more than {count} modules were called in one update", zh="一次更新中调用了超过 {count} 个模块"
)
_BETWEEN = Text(
    en="what goes into {module} is computed outside of any module", zh="{module} 的输入在模块之外计算"
)
_NEW = Text(
    en="{module} is called that was not there a few updates before",
    zh="调用了数次更新之前还不存在的 {module}",
)
_THREADS = Text(en="modules are called by several threads", zh="模块由多个线程调用")


class OuterCalls:
    """``calls`` and ``replica`` of one update; ``failed`` says why they are of no use.

    ``first`` is an earlier update whose copies these calls belong to: modules that are new since then, and have
    parameters, are refused.
    """

    def __init__(self, first: "OuterCalls | None" = None) -> None:
        self.calls: list[Call] = []
        self.parts: list[nn.Module] = [] if first is None else first.parts
        self.replica = Replica()
        self.failed: NotRebuildable | Exception | None = None
        self.seconds = 0.0
        self._first = first
        # Weakly, for those that other updates refer to; the replica holds them while this one lasts.
        self._originals: list[Callable[[], nn.Module | None]] = [] if first is None else first._originals
        self._token = object()  # marks of this update, which may outlive it with a graph that the user keeps
        self._thread = get_ident()
        self._inside: nn.Module | None = None
        self._depth = 0
        self.bytes = 0 if first is None else first.bytes
        self._began: tuple[int, tuple[Tensor, Tensor | None], float] | None = None
        self._handles: list[Any] = []

    def install(self) -> None:
        self._handles = [
            module_hooks.register_module_forward_pre_hook(self._before),
            module_hooks.register_module_forward_hook(self._after, with_kwargs=True, always_call=True),
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
            # torch forgets this entry, and torch.compile then warns of a global hook that is not there.
            module_hooks._global_forward_hooks_with_kwargs.pop(handle.id, None)  # pyright: ignore
        self._handles = []

    # --- hooks ------------------------------------------------------------------------------------
    def _before(self, module: nn.Module, _arguments: Any) -> None:
        if self._inside is not None:
            self._depth += module is self._inside
            return
        if (
            self.failed is not None
            or not torch.is_grad_enabled()
            or torch._C._get_tracing_state() is not None
        ):
            return
        began = perf_counter()
        self._inside, self._depth = module, 1
        try:
            self._open(module)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.failed = error
        self.seconds += perf_counter() - began

    def _after(self, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        if module is not self._inside or get_ident() != self._thread:
            return
        self._depth -= 1
        if self._depth:
            return
        self._inside = None
        if self.failed is not None or self._began is None:
            return
        began = perf_counter()
        try:
            self._close(module, arguments, named, output)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.failed = error
        self.seconds += perf_counter() - began

    def _open(self, module: nn.Module) -> None:
        self._began = None
        if get_ident() != self._thread:
            raise NotRebuildable(_THREADS())
        if len(self.calls) >= _MOST_CALLS:
            raise NotRebuildable(_MANY(count=_MOST_CALLS))
        known = next((i for i, m in enumerate(self._originals) if m() is module), None)
        if known is None and self._first is not None:
            known = self._like(module)
        if known is None:
            size, free = bytes_of(module), free_bytes(module)
            if size > _MODULE_SHARE * free:
                raise NotRebuildable(_BIG(size=size / 1e9, free=free / 1e9))
            known = len(self.parts)
            with torch.no_grad(), torch._C.DisableTorchFunction():
                self.parts.append(self.replica.of(module))
            self._originals.append(weakref.ref(module))
        self._began = (known, random_state(), perf_counter())

    def _like(self, module: nn.Module) -> int:
        """The part that a module without tensors is another instance of, as of a criterion made at every update."""
        simple = _simple(module)
        found = (i for i, p in enumerate(self.parts) if type(p) is type(module) and _simple(p) == simple)
        known = next(found, None) if simple is not None else None
        if known is None:
            raise NotRebuildable(_NEW(module=type(module).__name__))
        return known

    def copy_of(self, parameter: Tensor) -> Tensor:
        """The copy of a parameter: that of the update that the copies are of."""
        return parameter if self._first is not None else self.replica.tensor(parameter)

    def _close(self, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        assert self._began is not None
        (part, random, began), self._began = self._began, None
        if output is None:
            return
        name = type(module).__name__
        seconds = perf_counter() - began
        with torch.no_grad(), torch._C.DisableTorchFunction():
            tree = kept((tuple(arguments), dict(named)), lambda t: self._argument(t, name), name)
        number = len(self.calls)
        self.calls.append(Call(part, name, tree, random, autocast_state(module), seconds))
        for index, leaf in enumerate(leaves(output)):
            if leaf.grad_fn is not None:
                node: Any = leaf.grad_fn
                node.metadata.setdefault(MARK, {})[self._token, leaf.output_nr] = Placeholder(number, index)

    def _argument(self, tensor: Tensor, name: str) -> Any:
        if tensor.requires_grad:
            found = self.mark_of(tensor.grad_fn, tensor.output_nr)
            if found is None:
                raise NotRebuildable(_BETWEEN(module=name))
            return found
        self.bytes += tensor.numel() * tensor.element_size()
        if self.bytes > _MOST_BYTES:
            raise NotRebuildable(_BIG_INPUTS(limit=_MOST_BYTES / 1e6))
        return tensor.detach().clone()

    def mark_of(self, node: Any, output: int) -> Placeholder | None:
        """Which output of which call an autograd node makes, if any of this update."""
        if node is None:
            return None
        return node.metadata.get(MARK, {}).get((self._token, output))

    def sources(self, root: Tensor) -> list[tuple[float, Placeholder]] | None:
        """``root`` as a sum of outputs of calls, each times a constant; ``None`` where it is anything else."""
        try:
            return list(self._sources(root.grad_fn, root.output_nr, 1.0))
        except _NoSum:
            return None

    def _sources(self, node: Any, output: int, factor: float) -> Iterator[tuple[float, Placeholder]]:
        found = self.mark_of(node, output)
        if found is not None:
            yield factor, found
            return
        if node is None:
            raise _NoSum
        name, inputs = node.name(), node.next_functions
        if name in ("AddBackward0", "SubBackward0"):
            alpha = float(node._saved_alpha) * (-1 if name == "SubBackward0" else 1)
            for (child, place), sign in zip(inputs, (1.0, alpha), strict=True):
                if child is None:
                    raise _NoSum
                yield from self._sources(child, place, factor * sign)
            return
        times = _constant_of(node, name)
        if times is None or inputs[0][0] is None:
            raise _NoSum
        yield from self._sources(inputs[0][0], inputs[0][1], factor * times)


def _simple(module: nn.Module) -> dict[str, Any] | None:
    """The settings of a module that has no tensors and no modules; ``None`` for any other."""
    attributes = module.__dict__
    held = (attributes.get(name, {}).values() for name in ("_parameters", "_buffers", "_modules"))
    if any(thing is not None for things in held for thing in things):
        return None
    return {k: v for k, v in attributes.items() if isinstance(v, bool | int | float | str | type(None))}


class _NoSum(Exception):
    """The graph above the calls is more than a weighted sum."""


def _constant_of(node: Any, name: str) -> float | None:
    if name == "NegBackward0":
        return -1.0
    if name not in ("MulBackward0", "DivBackward0"):
        return None
    other = node._saved_other
    if not isinstance(other, Tensor) or other.numel() != 1 or other.requires_grad:
        return None
    return 1 / float(other) if name == "DivBackward0" else float(other)


def random_state() -> tuple[Tensor, Tensor | None]:
    """The state of torch's generators: of the CPU, and of the current CUDA device where that is in use."""
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    return torch.get_rng_state(), torch.cuda.get_rng_state() if used else None


def autocast_state(module: nn.Module) -> tuple[str, Any] | None:
    """Device and precision of the autocast that is in force for the device of the module."""
    device = next((p.device.type for p in module.parameters()), "cpu")
    if not torch.is_autocast_enabled(device):
        return None
    return device, torch.get_autocast_dtype(device)


def free_bytes(module: nn.Module) -> int:
    """Memory that is free where the module lives."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 1 << 62
