"""Predictions of shape [N, 1] meet targets of shape [N] one by one: does the loss then fall further?

In the losses of torch that compare elementwise, a target that would be broadcast against the prediction to a table of
all pairs is given the prediction's shape. Both arms are judged by that loss. Refuted by a fact where no such pair
of shapes occurs. What the graph kept of a target that was broadcast already is the row that it is made of.

**Source.** The mean over all pairs is least for a constant prediction, the mean of the targets.
"""

from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, further, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_NAMES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "soft_margin_loss")
_LOSSES = {getattr(functional, name) for name in _NAMES}
_WHAT = Text(en="with every prediction compared with its own target", zh="每个预测只与其自身目标比较时")
_NONE = Text(
    en="in {count} updates made again no prediction is broadcast against its target",
    zh="重放的 {count} 次更新中，没有预测与目标发生广播",
)


class OneByOne(TorchFunctionMode):
    """``found`` counts the targets that would have been broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _LOSSES:
            given = dict(zip(("input", "target"), args, strict=False)) | kwargs
            target = _own(given.get("input"), given.get("target"))
            if target is not None:
                self.found += 1
                kwargs = {k: v for k, v in kwargs.items() if k not in ("input", "target")}
                args = (given["input"], target, *args[2:])
        return func(*args, **kwargs)


def _own(prediction: Any, target: Any) -> Tensor | None:
    """The target in the shape of the prediction, where the two would make a table."""
    if not isinstance(prediction, Tensor) or not isinstance(target, Tensor):
        return None
    count = prediction.numel()
    if count < 2 or prediction.shape == target.shape or not {count, 1} >= set(prediction.shape):
        return None
    if target.numel() == count * count and target.dim() == 2:
        row = target[:1] if prediction.shape[-1] == 1 else target[:, :1]
        if not bool((target == row).all()):
            return None
        target = row
    table = target.numel() == count and _broadcast(prediction, target) == count * count
    return target.reshape(prediction.shape) if table or target.numel() == count else None


def _broadcast(a: Tensor, b: Tensor) -> int:
    try:
        return (a.detach()[..., None][..., 0] + b.detach()).numel()
    except RuntimeError:
        return 0


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    mode = OneByOne()
    seen = replay.values(lambda: mode)
    if not mode.found:
        return by_fact(TRIAL.name, "refuted", _NONE(count=replay.proved), replay.values(), seen)
    return pair(replay, TRIAL.name, _WHAT, Change(mode=OneByOne), judge=OneByOne, decide=further)


TRIAL = Trial(name="broadcasting-fixed", judges=("shape-broadcast",), expected=NOT_MORE, run=run, early=False)
