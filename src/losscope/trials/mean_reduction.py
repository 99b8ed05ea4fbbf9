"""The loss as a mean instead of a sum, at the same learning rate: does it then fall further?

Losses of torch that are called with ``reduction="sum"`` are called with "mean" ("batchmean" for ``kl_div``). Both arms
are judged by the mean. Refuted by a fact where no loss sums.

**Source.** The step of SGD is proportional to the loss: Goyal et al. (2017), arXiv:1706.02677, section 3.
"""

from typing import Any

from torch.nn import functional
from torch.overrides import TorchFunctionMode

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="with a mean instead of a sum", zh="用均值代替求和时")
_NONE = Text(en="in {count} updates made again no loss is a sum", zh="重放的 {count} 次更新中没有求和的损失")


class Means(TorchFunctionMode):
    """``found`` counts the losses that would have been sums."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("reduction") == "sum":
            self.found += 1
            kwargs["reduction"] = "batchmean" if func is functional.kl_div else "mean"
        return func(*args, **kwargs)


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    mode = Means()
    seen = replay.values(lambda: mode)
    if not mode.found:
        return by_fact(TRIAL.name, "refuted", _NONE(count=replay.proved), replay.values(), seen)
    return pair(replay, TRIAL.name, _WHAT, Change(mode=Means), judge=Means)


TRIAL = Trial(name="mean-reduction", judges=("wrong-reduction",), expected=NOT_MORE, run=run)
