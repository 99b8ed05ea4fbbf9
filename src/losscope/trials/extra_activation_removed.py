"""The activation before a loss that has one of its own is taken away: is there one, and does the loss then fall further?

Where ``cross_entropy`` or ``log_softmax`` gets a probability distribution p, it gets log p instead, and where
``binary_cross_entropy_with_logits`` gets numbers of [0, 1], their logits: softmax(log p) = p, so the loss is that of
the probabilities which the model states. Both arms are judged by that loss. The finding is refuted where no such input
occurs, or where the corrected loss falls no less as it was.

**Source.** ``torch.nn.CrossEntropyLoss`` takes unnormalised logits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import compare, effect
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_SOFTMAX = (F.cross_entropy, F.log_softmax, torch.log_softmax, Tensor.log_softmax)
_SIGMOID = (F.binary_cross_entropy_with_logits,)
_SLACK = 1e-3  # of sums of probabilities; float16 has 2⁻¹¹
_TEXT = Text(
    en="with the activation taken away the loss of the stated probabilities fell by {changed:.3g}, as it was by "
    "{baseline:.3g} (effect {effect:.2f}, 95 % interval {low:.2f} to {high:.2f})",
    zh="去掉该激活后，所述概率的损失下降 {changed:.3g}，原来下降 {baseline:.3g}"
    "（效应 {effect:.2f}，95 % 区间 {low:.2f} 至 {high:.2f}）",
)
_NONE = Text(
    en="in {count} updates made again no loss got probabilities where it takes logits",
    zh="重放的 {count} 次更新中，没有损失在应输入 logits 处得到概率",
)


class WithoutActivation(TorchFunctionMode):
    """``found`` counts the inputs that were probabilities already."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _SOFTMAX or func in _SIGMOID:
            given = args[0] if args else kwargs["input"]
            changed = self._changed(given, func)
            if changed is not None:
                self.found += 1
                args, kwargs = (changed, *args[1:]), {k: v for k, v in kwargs.items() if k != "input"}
        return func(*args, **kwargs)

    def _changed(self, given: Tensor, func: Any) -> Tensor | None:
        if not given.is_floating_point() or not given.numel():
            return None
        values, tiny = given.detach(), torch.finfo(given.dtype).tiny
        if not bool(((values >= 0) & (values <= 1 + _SLACK)).all()):
            return None
        if func in _SIGMOID:
            return torch.log(given.clamp(min=tiny)) - torch.log((1 - given).clamp(min=tiny))
        sums = values.sum(1 if given.dim() > 1 else 0)
        if not bool(((sums - 1).abs() <= _SLACK).all()):
            return None
        return given.clamp(min=tiny).log()


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    mode = WithoutActivation()
    seen = replay.values(lambda: mode)
    if not mode.found:
        result = TrialResult(
            name=TRIAL.name,
            outcome="refuted",
            effect=0.0,
            interval=(0.0, 0.0),
            curves={"as it was": seen, "without the activation": seen},
        )
        return Outcomes(result=result, text=_NONE(count=replay.proved))
    changes = {"as it was": Change(), "without the activation": Change(mode=WithoutActivation)}
    arms = compare(replay, changes, [replay.restore], judge=WithoutActivation)
    baseline, changed = arms["as it was"], arms["without the activation"]
    found = effect(baseline, changed)
    outcome: Outcome = "confirmed" if found.low > 0 else "refuted" if found.high < 0 else "open"
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=found.value,
        interval=found.interval,
        curves={name: arm.curve for name, arm in arms.items()},
    )
    text = _TEXT(
        changed=changed.falls[0],
        baseline=baseline.falls[0],
        effect=found.value,
        low=found.low,
        high=found.high,
    )
    return Outcomes(result=result, text=text)


TRIAL = Trial(
    name="extra-activation-removed", judges=("double-softmax", "sigmoid-before-logits-loss"), run=run
)
