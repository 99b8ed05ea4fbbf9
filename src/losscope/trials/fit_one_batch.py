"""One batch learnt by heart, with its targets as they are and dealt anew at every update: is there a difference?

A network that can be trained learns which of 32 targets belongs to which input in a few dozen updates; with
targets dealt anew there is nothing to learn but their mean. At the rate of the run, a tenth, and ten times
that, the best decides. That layers cannot be trained is refuted where the loss of the batch falls to half and
at least twice as far as with dealt targets, and confirmed where at every rate it surely falls less than that.

**Source.** Karpathy (2019), "A recipe for training neural networks": overfit one batch.
"""

import numpy as np

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.objective.rebuild.tree import leaves
from losscope.trials.arms import TWICE, affordable, interval
from losscope.trials.permuted_labels import permuted
from losscope.trials.replay import Replay
from losscope.trials.training import Change, Training
from losscope.trials.trial import Outcome, Outcomes, Trial

_RATES = (1.0, 0.1, 10.0)
_UPDATES, _LAST, _HALF = 64, 8, 0.5
_TEXT = Text(
    en="learning one batch by heart took its loss from {first:.4g} to {own:.4g} in {updates} updates, with targets "
    "dealt anew to {dealt:.4g} (learning rate ×{rate:g})",
    zh="反复学习一个批次，{updates} 次更新后其损失从 {first:.4g} 变为 {own:.4g}，每次重新分配目标时为 {dealt:.4g}"
    "（学习率 ×{rate:g}）",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if not any(t.dim() and t.shape[0] > 1 for t in leaves(replay.batches[0][0].target)):
        return None
    _, updates = affordable(replay, 2 * len(_RATES), [replay.restore], _UPDATES)
    first = float(replay.values(places=[0])[0])
    tries = []
    for rate in _RATES:
        own = _learnt(replay, Change(rate=rate), updates)
        dealt = _learnt(replay, Change(rate=rate, batch=permuted), updates)
        tries.append((rate, own, dealt))
    rate, own, dealt = min(tries, key=lambda one: float(np.nan_to_num(one[1][-_LAST:].mean(), nan=np.inf)))
    mean, low, high = interval(dealt[-_LAST:] - own[-_LAST:])
    size = abs(first - float(own[-1])) + abs(first - float(dealt[-1])) or 1.0
    bounds = [float(np.clip(v / size, -1, 1)) for v in (mean, low, high)]
    outcome: Outcome = "open"
    if low > 0 and mean > 0.5 * abs(first - float(own[-1])) and float(own[-1]) < _HALF * first:
        outcome = "refuted"
    elif all(_no_more(first, own, dealt) for _, own, dealt in tries):
        outcome = "confirmed"
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=bounds[0],
        interval=(bounds[1], bounds[2]),
        curves={"own targets": own.tolist(), "targets dealt anew": dealt.tolist()},
    )
    told = _TEXT(first=first, own=own[-1], dealt=dealt[-1], updates=updates, rate=rate)
    return Outcomes(result=result, text=told)


def _no_more(first: float, own: np.ndarray, dealt: np.ndarray) -> bool:
    """Whether the batch's loss falls less than twice as far as with dealt targets, surely."""
    fell = abs(first - float(own[-_LAST:].mean())) + abs(first - float(dealt[-_LAST:].mean()))
    return bool(interval(dealt[-_LAST:] - own[-_LAST:])[2] <= TWICE * fell)


def _learnt(replay: Replay, change: Change, updates: int) -> np.ndarray:
    """The batch's loss after every update."""
    replay.restore()
    training, losses = Training(replay, change, 0, [0]), [replay.values(places=[0])[0]]
    for _ in range(updates):
        training.go(1)
        losses.append(replay.values(places=[0])[0])
    replay.restore()
    return np.asarray(losses)


_EXPECTED = Text(en="a loss that falls to half, were the layers trainable", zh="若各层可训练，损失应降到一半")
TRIAL = Trial(
    name="fit-one-batch",
    judges=("vanishing-gradient", "dead-units", "saturated-units", "input-has-no-effect"),
    expected=_EXPECTED,
    run=run,
)
