"""Acts right after a module was imported, however often other packages probe for it before."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

from losscope.watching.voice import say

_IMPORT_SYSTEM = SourceFileLoader.get_filename.__code__.co_filename


class WhenImported(MetaPathFinder):
    """Calls ``action(module)`` right after a module was first executed. Finds nothing by itself."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self._name, self._action = name, action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        others = [f for f in sys.meta_path if f is not self and hasattr(f, "find_spec")]
        spec = next((s for finder in others if (s := finder.find_spec(fullname, path, target))), None)
        if spec is None or spec.loader is None:
            return None
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != fullname:  # archives share one loader between modules
                return execute(module)
            vars(loader).pop("exec_module", None)
            execute(module)
            self._act(module)

        # The interpreter cuts its own import system out of tracebacks, by file name; this is a part of it.
        exec_module.__code__ = exec_module.__code__.replace(co_filename=_IMPORT_SYSTEM)
        loader.exec_module = exec_module
        return spec

    def _act(self, module: ModuleType) -> None:
        if self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        try:
            self._action(module)
        except Exception as error:  # noqa: BLE001 - promise 1: the user's import has succeeded
            say(f"cannot watch {self._name}: {error!r}")


def when_imported(name: str, action: Callable[[ModuleType], None]) -> WhenImported | None:
    """Call ``action`` with the module ``name`` now, or later, when it is imported.

    Returns the finder that waits, to be taken out of ``sys.meta_path`` when it is no longer wanted.
    """
    if name in sys.modules:
        action(sys.modules[name])
        return None
    finder = WhenImported(name, action)
    sys.meta_path.insert(0, finder)
    return finder
