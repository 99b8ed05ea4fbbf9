"""The same updates with one optimiser that keeps its state: does the loss then fall further?

Refuted where the optimiser was made anew in the window and training goes on exactly as it would with its state: there
is none to lose. Where it was not made anew in the window nothing is known.

**Source.** Momentum and second moments live in the optimiser: Kingma and Ba (2015), arXiv:1412.6980.
"""

import numpy as np

from losscope.core.text import Text
from losscope.trials.arms import Arm, Effect
from losscope.trials.pair import NOT_MORE, further, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_WHAT = Text(en="with one optimiser that keeps its state", zh="使用同一个保留状态的优化器时")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if not any(step.renewed for step in replay.window.steps[1 : replay.proved]):
        return None
    return pair(replay, TRIAL.name, _WHAT, Change(renewed=False), decide=_decide)


def _decide(baseline: Arm, changed: Arm, found: Effect) -> Outcome:
    if np.array_equal(baseline.last, changed.last):
        return "refuted"
    return further(baseline, changed, found)


TRIAL = Trial(name="optimiser-kept", judges=("optimiser-recreated",), expected=NOT_MORE, run=run)
