"""The activation before a loss that has one of its own is taken away: does the loss then fall further?

Where ``cross_entropy`` or ``log_softmax`` gets a probability distribution p, it gets log p instead, and where
``binary_cross_entropy_with_logits`` gets numbers of [0, 1], their logits: softmax(log p) = p, so the loss is that of
the probabilities which the model states. Both arms are judged by that loss. The finding is refuted where no such input
occurs, and confirmed where that loss then falls further.

**Source.** ``torch.nn.CrossEntropyLoss`` takes unnormalised logits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import affordable, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_SOFTMAX = (functional.cross_entropy, functional.log_softmax, torch.log_softmax, Tensor.log_softmax)
_SIGMOID = (functional.binary_cross_entropy_with_logits,)
_SLACK = 1e-3  # of sums of probabilities; float16 has 2⁻¹¹
_TEXT = Text(
    en="with the activation taken away the loss of the stated probabilities went from {before} to {changed} in "
    "{updates} updates, as it was to {baseline} (effect {effect})",
    zh="去掉该激活后，所述概率的损失在 {updates} 次更新中从 {before} 变为 {changed}，原来变为 {baseline}"
    "（效应 {effect}）",
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
    starts, updates = affordable(replay, len(changes), [replay.restore])
    arms = compare(replay, changes, starts, updates=updates, judge=WithoutActivation)
    baseline, changed = arms["as it was"], arms["without the activation"]
    found = effect(baseline, changed)
    outcome: Outcome = "confirmed" if found.low > 0 else "open"
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=found.value,
        interval=found.interval,
        curves={name: arm.curve for name, arm in arms.items()},
    )
    text = _TEXT(
        before=baseline.level[0],
        changed=changed.level[1],
        baseline=baseline.level[1],
        updates=updates,
        effect=str(found),
    )
    return Outcomes(result=result, text=text)


_EXPECTED = Text(en="no such input, or no further fall", zh="应没有这种输入，或损失不再下降更多")
TRIAL = Trial(
    name="extra-activation-removed",
    judges=("double-softmax", "sigmoid-before-logits-loss"),
    expected=_EXPECTED,
    run=run,
    early=False,
)
