"""The same updates with gradients as they come: does the loss then fall further?

To what norm gradients were clipped is known from what reproduces the run. That clipping dominates is refuted where they
were not clipped at all; that it has no effect is confirmed by the same fact.

**Source.** Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063.
"""

import math

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="without clipping", zh="不裁剪梯度时")
_NONE = Text(
    en="{count} updates are reproduced by gradients that are not clipped",
    zh="用未裁剪的梯度即可重现这 {count} 次更新",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    clipped = math.isfinite(replay.limit)
    if code == "clip-has-no-effect":
        fact = by_fact(TRIAL.name, "confirmed", _NONE(count=replay.proved), replay.values())
        return None if clipped or replay.scale != 1.0 else fact
    if not clipped:
        return by_fact(TRIAL.name, "refuted", _NONE(count=replay.proved), replay.values())
    return pair(replay, TRIAL.name, _WHAT, Change(limit=math.inf))


TRIAL = Trial(
    name="no-clipping",
    judges=("clipping-dominates", "clip-has-no-effect"),
    expected=NOT_MORE,
    run=run,
    early=False,
)
