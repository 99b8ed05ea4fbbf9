"""Where the arms of an experiment begin: at the kept parameters, or at new ones."""

import numpy as np

from losscope.trials.arms import Start
from losscope.trials.replay import Replay

_SEEDS = 3


def fresh(replay: Replay) -> list[Start]:
    """Newly drawn parameters by several seeds; none where a module cannot draw its own."""
    possible = replay.afresh(0)
    replay.restore()
    return [lambda seed=seed: replay.afresh(seed) for seed in range(_SEEDS)] if possible else []


def undamaged(replay: Replay) -> tuple[list[Start], bool]:
    """The kept parameters where their loss is below that of new ones, else new ones, should these be possible.

    The second value says whether they are new.
    """
    starts = fresh(replay)
    if not starts:
        return [replay.restore], False
    here = float(np.mean(replay.values()))
    levels = []
    for start in starts:
        start()
        levels.append(float(np.mean(replay.values())))
    replay.restore()
    better = np.isfinite(here) and here < min(levels)
    return ([replay.restore], False) if better else (starts, True)
