"""The same updates with the loss's own gradient, neither multiplied nor clipped: does the loss then fall further?

By what factor gradients were multiplied is known from what reproduces the run. Refuted where that is the loss's
own gradient.

**Source.** docs.pytorch.org/docs/stable/notes/amp_examples.html.
"""

import math

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="with the loss's own gradient", zh="使用损失本身的梯度时")
_NONE = Text(
    en="{count} updates are reproduced by the loss's own gradient",
    zh="用损失本身的梯度即可重现这 {count} 次更新",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if replay.scale == 1.0 and not math.isfinite(replay.limit):
        return by_fact(TRIAL.name, "refuted", _NONE(count=replay.proved), replay.values())
    return pair(replay, TRIAL.name, _WHAT, Change(limit=math.inf, scale=1.0))


TRIAL = Trial(
    name="unscaled-gradients", judges=("loss-scale-misused",), expected=NOT_MORE, run=run, early=False
)
