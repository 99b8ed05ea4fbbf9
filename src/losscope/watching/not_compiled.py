"""What torch.compile must leave alone: the code that hooks call. Our losses it must not: a script may compile them."""

import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import losscope

_OF_LOSSES = ("graph", "catalogue", "spec", "standard_error", "target_stats")
"""Parts of the losses' room that read a graph or describe a loss, and compute none."""


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Within a compiled step, what runs here is looked at by no compiler: the contracts of losses are read by hooks."""
    frames: Any = sys.modules.get("torch._C._dynamo.eval_frame")
    if frames is None or "torch._dynamo" not in sys.modules:
        yield
        return
    before = frames.set_eval_frame(None)
    try:
        yield
    finally:
        frames.set_eval_frame(before)


def leave_alone(rules: ModuleType) -> None:
    """Tell ``torch._dynamo.trace_rules``: a compiled step would otherwise trace into the hooks."""
    rooms = (module.name for module in pkgutil.iter_modules(losscope.__path__))
    parts = [room for room in rooms if room not in ("losses", "__main__")]
    parts += [f"losses.{part}" for part in _OF_LOSSES]
    for part in parts:
        vars(rules)["add"](f"losscope.{part}")
