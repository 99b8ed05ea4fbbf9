"""The objective without its penalty: does the rest of it then fall further?

Both arms are judged by the objective without the penalty. Refuted by a fact where the loss has no penalty.

**Source.** Krogh and Hertz (1991), "A simple weight decay can improve generalization".
"""

from contextlib import AbstractContextManager

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.terms import count_of, weighted
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="without the penalty, the rest of", zh="去掉惩罚项后，其余部分：")
_NONE = Text(en="the loss that was replayed has no penalty", zh="重放的损失没有惩罚项")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if replay.whole.penalty is None:
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    ones = [1.0] * count_of(replay)

    def without() -> AbstractContextManager[None]:
        return weighted(replay, ones, 0.0)

    return pair(replay, TRIAL.name, _WHAT, Change(mode=without), judge=without)


TRIAL = Trial(name="penalty-dropped", judges=("penalty-dominates",), expected=NOT_MORE, run=run, early=False)
