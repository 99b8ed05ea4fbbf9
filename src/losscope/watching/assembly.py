"""Puts the parts of the watch together. Imported only once torch is there."""

from losscope.core.registry import discover
from losscope.watching.budget import Governor
from losscope.watching.deep import DeepSampler
from losscope.watching.hooks import Hooks
from losscope.watching.mode_turn import Turn
from losscope.watching.naming import Names
from losscope.watching.outlet import Outlet, RecorderLike
from losscope.watching.watch import Watch


def assemble(recorder: RecorderLike, share: float, before: float = 0.0) -> tuple[Watch, Hooks]:
    """A watch with every probe that the package holds, and the hooks that lead to it.

    ``share`` is the part of the script's own time that the watch may cost (0.03 = 3 %), ``before`` what the script
    has taken already, in seconds.
    """
    governor = Governor(share=share, before=before)
    outlet = Outlet(recorder)
    probes = [probe() for probe in discover("losscope.probes", "PROBE").values()]
    discover("losscope.losses", "SPEC")  # loaded now, not in the first training step
    watch = Watch(outlet, governor, DeepSampler(outlet, governor, Names(), probes))
    watch.deep.layers.modes = watch.evaluations.modes
    watch.evaluations.modes.on_turn = Turn(watch.streams, governor, watch.deep)
    return watch, Hooks(watch)
