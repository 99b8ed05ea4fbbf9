"""The same updates without weight decay: does the loss then fall further?

The arms begin at the kept parameters or, where decay has made these no better than new ones, at new ones. The
finding is refuted by a fact where no group of the optimiser has a decay.

**Source.** Loshchilov and Hutter (2019), arXiv:1711.05101.
"""

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.starts import undamaged
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="without weight decay", zh="不使用权重衰减时")
_NONE = Text(en="the optimiser has no weight decay", zh="优化器没有权重衰减")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    settings = [group for step in replay.window.steps for group in step.settings]
    if not any(group.get("weight_decay") for group in settings):
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    starts, new = undamaged(replay)
    without = Change(settings={"weight_decay": 0.0}, state=not new)
    return pair(replay, TRIAL.name, _WHAT, without, baseline=Change(state=not new), starts=starts)


TRIAL = Trial(
    name="no-weight-decay", judges=("weight-decay-dominates",), expected=NOT_MORE, run=run, early=False
)
