"""Names for parameters: which module holds which tensor, under what name.

Modules are noted when they are made (one weak reference each). Names are worked out only when a
deep sample meets a parameter that has none yet.
"""

import gc
import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from losscope.watching.mode_flags import Flags
from losscope.watching.user_code import user_frame
from losscope.watching.weak_tensors import TensorRef, weak

_LISTED = 1024  # entries of one list that are looked at


class Names:
    """Human names of leaf tensors, unique within the process."""

    def __init__(self) -> None:
        self._modules: dict[int, weakref.ref[nn.Module]] = {}
        self._names: dict[int, tuple[TensorRef, str]] = {}
        self._taken: dict[str, int] = {}
        self._roots: dict[int, str] = {}
        self._searched = False

    def note_module(self, module: nn.Module) -> None:
        """Hook behind ``nn.Module.__init__``."""
        self._modules[id(module)] = weakref.ref(module)

    def of(self, parameters: Iterable[Tensor]) -> list[str]:
        """One name per tensor; tensors outside every module are called ``tensor[64,10]``."""
        parameters = list(parameters)
        if any(self._known(p) is None for p in parameters):
            self._name_modules()
        if not self._searched and any(self._known(p) is None for p in parameters):
            self._searched = True  # copies made by deepcopy or unpickling never ran __init__
            self._adopt_all_modules()
            self._name_modules()
        if any(isinstance(p, nn.Parameter) and self._known(p) is None for p in parameters):
            self._name_attributes()
        return [self._known(p) or self._name_alone(p) for p in parameters]

    def modes(self, parameters: Iterable[Tensor]) -> Flags:
        """The modes of dropout and trained batch normalisation in the models that hold these parameters."""
        wanted = {id(p) for p in parameters}
        flags = Flags()
        for root in self._live_roots():
            if any(id(p) in wanted for _, p in _named_parameters(root)):
                flags.add(root, within=False)
        return flags

    def _known(self, parameter: Tensor) -> str | None:
        entry = self._names.get(id(parameter))
        return entry[1] if entry is not None and entry[0]() is parameter else None

    def _adopt_all_modules(self) -> None:
        for thing in gc.get_objects():
            if issubclass(type(thing), nn.Module):
                self._modules.setdefault(id(thing), weakref.ref(thing))

    def _live_roots(self) -> list[nn.Module]:
        live = [(key, m) for key, ref in self._modules.items() if (m := ref()) is not None]
        self._modules = {key: self._modules[key] for key, _ in live}
        children = {id(c) for _, m in live for c in m.__dict__.get("_modules", {}).values()}
        return [m for key, m in live if key not in children]

    def _name_modules(self) -> None:
        holding = [(root, own) for root in self._live_roots() if (own := list(_named_parameters(root)))]
        prefixed = len(holding) > 1 or bool(self._roots)
        for root, own in holding:
            label = self._roots.get(id(root))
            if label is None:
                label = self._roots[id(root)] = self._unique(_variable_of(root) or type(root).__name__)
            for name, parameter in own:
                if self._known(parameter) is None:
                    self._set(parameter, f"{label}.{name}" if prefixed else name)

    def _name_attributes(self) -> None:
        """Parameters that a module keeps in a plain list, tuple or dictionary, which does not register them."""
        for module in [m for ref in self._modules.values() if (m := ref()) is not None]:
            for key, value in list(module.__dict__.items()):
                if key.startswith("_") or not isinstance(value, list | tuple | dict):
                    continue
                entries = list(value.items() if isinstance(value, dict) else enumerate(value))
                for place, parameter in entries[:_LISTED]:
                    if isinstance(parameter, nn.Parameter) and self._known(parameter) is None:
                        self._set(parameter, self._unique(f"{type(module).__name__}.{key}.{place}"))

    def _name_alone(self, parameter: Tensor) -> str:
        name = self._unique(f"tensor[{','.join(map(str, parameter.shape))}]")
        self._set(parameter, name)
        return name

    def _set(self, parameter: Tensor, name: str) -> None:
        self._taken.setdefault(name, 1)
        self._names[id(parameter)] = (weak(parameter), name)

    def _unique(self, name: str) -> str:
        count = self._taken.get(name, 0) + 1
        self._taken[name] = count
        return name if count == 1 else f"{name}#{count}"


def _variable_of(module: nn.Module) -> str | None:
    """The global variable of the user's code that holds the module, innermost frame first."""
    frame = user_frame()
    while frame is not None:
        for name, value in list(frame.f_globals.items()):
            if value is module and not name.startswith("_"):
                return name
        frame = frame.f_back
    return None


def _named_parameters(module: nn.Module, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Like ``named_parameters``, reading the dictionaries alone: users override the methods."""
    for name, parameter in module.__dict__.get("_parameters", {}).items():
        if isinstance(parameter, Tensor):
            yield prefix + name, parameter
    for name, child in module.__dict__.get("_modules", {}).items():
        if child is not None:
            yield from _named_parameters(child, f"{prefix}{name}.")
