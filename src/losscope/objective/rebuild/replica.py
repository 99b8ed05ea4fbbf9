"""A copy of a module that shares no tensor with it, made without running any of the user's code.

``copy.deepcopy`` would run ``__deepcopy__`` and ``__getstate__`` and copy everything that hangs on the module: a data
set, a logger. Here new objects of the same classes get the same attributes; tensors and submodules among these,
and one level down in lists, tuples and dictionaries, are replaced by their copies, bound methods are bound anew. What a
shared tensor was, it stays (tied weights). None of the user's objects is kept alive by it but what other attributes
refer to.
"""

import types
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable

_SMALL = 1 << 16
_REFUSED = (torch.jit.ScriptModule, nn.parallel.DistributedDataParallel)

_KIND = Text(en="{module} is a {seen}, which cannot be copied", zh="{module} 是 {seen}，无法复制")


class Replica:
    """``of(module)`` copies it; ``pairs`` lists (original, copy) of every parameter and buffer."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self._tensors: dict[int, Tensor] = {}
        self._modules: dict[int, nn.Module] = {}
        self._originals: list[Any] = []  # so that no id is used twice while this lasts

    def of(self, module: nn.Module) -> nn.Module:
        """The copy of ``module``; the same one however often it is asked for."""
        known = self._modules.get(id(module))
        if known is not None:
            return known
        if isinstance(module, _REFUSED):
            raise NotRebuildable(_KIND(module=type(module).__name__, seen=type(module).__name__))
        new = object.__new__(type(module))
        self._modules[id(module)] = new
        self._originals.append(module)
        attributes = dict(module.__dict__)
        for name in ("_parameters", "_buffers"):
            attributes[name] = {n: None if t is None else self.tensor(t) for n, t in attributes[name].items()}
        attributes["_modules"] = {
            n: None if m is None else self.of(m) for n, m in attributes["_modules"].items()
        }
        for name, value in attributes.items():
            if name not in ("_parameters", "_buffers", "_modules"):
                attributes[name] = self._attribute(value)
        new.__dict__.update(attributes)
        return new

    def tensor(self, tensor: Tensor) -> Tensor:
        """The copy of a parameter or buffer."""
        known = self._tensors.get(id(tensor))
        if known is not None:
            return known
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            kind = type(tensor).__name__
            raise NotRebuildable(_KIND(module="a parameter", seen=kind))
        data = tensor.detach().clone()
        new = nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data
        self._tensors[id(tensor)] = new
        self._originals.append(tensor)
        self.pairs.append((tensor, new))
        return new

    def release(self) -> None:
        """Let go of the originals; the copies stay."""
        self._originals.clear()
        self._tensors.clear()
        self._modules.clear()
        self.pairs = []

    def _attribute(self, value: Any, depth: int = 1) -> Any:
        if isinstance(value, Tensor):
            known = self._tensors.get(id(value))
            if known is not None:
                return known
            detached = value.detach()
            return detached.clone() if value.numel() <= _SMALL else detached
        if isinstance(value, nn.Module):
            return self.of(value)
        if isinstance(value, types.MethodType) and id(value.__self__) in self._modules:
            return types.MethodType(value.__func__, self._modules[id(value.__self__)])
        if depth and (type(value) is list or type(value) is tuple):
            items = [self._attribute(item, depth - 1) for item in value]
            return items if type(value) is list else tuple(items)
        if depth and type(value) is dict:
            return {key: self._attribute(item, depth - 1) for key, item in value.items()}
        return value


def bytes_of(module: nn.Module) -> int:
    """Bytes of the parameters and buffers of a module, read from its dictionaries alone."""
    seen: dict[int, int] = {}
    pending = [module]
    known = set()
    while pending:
        one = pending.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        for name in ("_parameters", "_buffers"):
            for tensor in one.__dict__.get(name, {}).values():
                if isinstance(tensor, Tensor):
                    seen[id(tensor)] = tensor.numel() * tensor.element_size()
        pending += [m for m in one.__dict__.get("_modules", {}).values() if m is not None]
    return sum(seen.values())
