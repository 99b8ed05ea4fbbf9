"""Which parameters the loss reaches and which the optimiser holds, over all looks that the watch took."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.streams import events_of, line_of, values

RAW = "tensor["
"""Prefix of the names of tensors outside every module: inputs that require a gradient, or hand-made weights."""

_LOOKS, _ZEROS = 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Parameter names of one stream, in the optimiser's order.

    ``unreached`` are held and were reached at no look; ``unheld`` were reached at every look and no
    optimiser of the run holds them; ``renewed`` are parameters outside every module of which each look found a new
    one. ``without_gradient`` are the first of the model, reached, whose gradient was exactly zero at every sample
    while that of the weight after them never was.
    """

    held: tuple[str, ...]
    reached: frozenset[str]
    unreached: tuple[str, ...]
    unheld: tuple[str, ...]
    where: Where | None
    ordered: bool
    renewed: tuple[str, ...] = ()
    without_gradient: tuple[str, ...] = ()

    @property
    def nothing_in_common(self) -> bool:
        """The loss reaches none of the parameters that the optimiser holds."""
        return bool(self.held) and not self.reached.intersection(self.held)

    @property
    def cut_prefix(self) -> tuple[str, ...]:
        """The first parameters of the model, where none of them is reached but later ones are.

        A loss reaches a network from its end, so a gap at the *start* is a cut, while a gap at the end is an
        unused head. A few loose parameters (masks, tokens) that lead the list are no layer and do not count.
        """
        prefix: list[str] = []
        if not self.ordered:
            return ()
        for name in self.held:
            if name in self.reached or name not in self.unreached:
                break
            prefix.append(name)
        is_layer = any(name.endswith("weight") for name in prefix) or (
            len(prefix) > 1 and prefix[0].startswith(RAW)
        )
        return tuple(prefix) if is_layer and len(prefix) < len(self.held) else ()


def reach_of(recording: Recording, stream: str) -> Reach | None:
    """Merge the "reach" events of a stream; ``None`` without one, or where no optimiser holds anything.

    Experts and dropped layers are unreached at single looks only: a parameter counts as unreached when it was
    so at *every* look and its gradient was never seen to be non-zero.
    """
    looks = events_of(recording, "reach", stream)
    if not looks or not looks[-1].get("held"):
        return None
    frozen = {str(name) for look in looks for name in look.get("frozen") or ()}
    held = _in_model_order(recording, stream, {str(name) for name in looks[-1]["held"]} - frozen)
    if not held:
        return None
    reached = frozenset(str(name) for look in looks for name in look.get("reached") or ())
    reached |= {
        name for name in held if bool(np.any(values(recording, signals.GRADIENT_NORM_PARAMETER, name)))
    }
    elsewhere = {str(n) for e in recording.events_of("reach") for n in e.get("held") or ()}
    elsewhere |= {str(n) for e in recording.events_of("optimizer") for n in e.get("parameters") or ()}
    always = [frozenset(str(n) for n in look.get("reached_not_held") or ()) for look in looks]
    unheld = frozenset.intersection(*always) - elsewhere
    in_order = [str(n) for n in looks[-1].get("reached") or () if n in unheld]
    optimizers = events_of(recording, "optimizer", stream)
    return Reach(
        renewed=_renewed(looks, elsewhere),
        without_gradient=_without_gradient(recording, held) if optimizers else (),
        held=held,
        reached=reached,
        unreached=tuple(name for name in held if name not in reached),
        unheld=tuple(in_order),
        where=line_of(recording, stream, "optimizer", "anatomy"),
        ordered=bool(optimizers),
    )


def _renewed(looks: list[dict[str, Any]], elsewhere: set[str]) -> tuple[str, ...]:
    """Parameters without a module that are in no optimiser, where each of at least four looks found a new one."""
    loose = [{n for n in look.get("reached_not_held") or () if str(n).startswith(RAW)} for look in looks]
    fresh = [after - before for before, after in zip([set(), *loose], loose, strict=False)]
    shapes = [{str(n).partition("#")[0] for n in found - elsewhere} for found in fresh]
    lasting = set.intersection(*shapes) if len(shapes) >= _LOOKS else set()
    return tuple(sorted(lasting))


def _without_gradient(recording: Recording, held: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for name in held:
        norms = values(recording, signals.GRADIENT_NORM_PARAMETER, name)
        if norms.size < _ZEROS:
            return ()
        if np.any(norms):
            layer = name.rpartition(".")[0]
            # The weight that comes next gets its gradient from an input that varies: the units before are not dead.
            follows = (
                name.endswith("weight")
                and bool(np.all(norms))
                and layer not in {n.rpartition(".")[0] for n in found}
            )
            return tuple(found) if follows and any(n.endswith("weight") for n in found) else ()
        found.append(name)
    return ()


def _in_model_order(recording: Recording, stream: str, names: set[str]) -> tuple[str, ...]:
    """Names in the order in which the optimiser was given them, which is that of the model's layers."""
    told = [str(n) for e in events_of(recording, "optimizer", stream) for n in e.get("parameters") or ()]
    told += [str(n) for e in recording.events_of("model") for n in e.get("parameters") or ()]
    known = [name for name in dict.fromkeys(told) if name in names]
    return (*known, *sorted(names.difference(known)))


def shorten(names: tuple[str, ...], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" (+{more})" if more > 0 else "")
