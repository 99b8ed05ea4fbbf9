"""Found first by every python that a watched launcher starts, because this folder leads its PYTHONPATH.

It hides the folder from ``sys.path``, runs the ``sitecustomize`` that would have been found without it, and
begins the lazy watch. Where this python has no losscope, nothing happens: the launcher that set the variable
tells that no training process was reached. The variable itself stays, for the children of this process.
"""

# ruff: noqa: PTH100, PTH120 - importing pathlib would cost every python below the launcher

import importlib.machinery
import importlib.util
import os
import sys


def _hide_folder() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]


def _run_the_other_sitecustomize() -> None:
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _begin_watch() -> None:
    try:
        from losscope.watching.options import launched_options  # lazy: may be missing
        from losscope.watching.startup import begin  # lazy: may be missing
    except ImportError:
        return
    begin(launched_options())


_hide_folder()
try:
    _run_the_other_sitecustomize()
finally:
    if os.environ.get("LOSSCOPE_RUN"):
        _begin_watch()
