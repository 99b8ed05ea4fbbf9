"""The modules in the other mode, training instead of evaluation or the reverse: does that make a difference?

*eval-mode-in-training*: training goes on in training mode, and both arms are judged in evaluation mode, in which a
model is used. *train-mode-in-evaluation*: the same batches have another loss in training mode, significantly (dropout
draws, batch normalisation takes the batch). Both are refuted by a fact where the mode changes nothing.

**Source.** ``torch.nn.Module.eval``; Ioffe and Szegedy (2015), arXiv:1502.03167.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import interval
from losscope.trials.pair import AS_IT_WAS, by_fact, further, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_WHAT = Text(en="trained in training mode and judged in evaluation mode", zh="以训练模式训练、评估模式评判时")
_SAME = Text(
    en="{count} batches have the same loss in training and in evaluation mode",
    zh="{count} 个批次在训练模式与评估模式下损失相同",
)
_DIFFERENT = Text(
    en="in training mode {count} batches have the mean loss {train:.4g}, in evaluation mode {evaluation:.4g} "
    "(difference 95 % {low:.2g} … {high:.2g})",
    zh="{count} 个批次在训练模式下平均损失为 {train:.4g}，评估模式下为 {evaluation:.4g}"
    "（差异 95% {low:.2g} … {high:.2g}）",
)


@contextmanager
def in_mode(replay: Replay, training: bool) -> Iterator[None]:
    """All modules in one mode, whatever ``train`` of the user's would do."""
    before = [(m, m.training) for m in replay.whole.modules()]
    try:
        for module, _ in before:
            module.training = training
        yield
    finally:
        for module, was in before:
            module.training = was


def run(replay: Replay, code: str) -> Outcomes | None:
    train, evaluation = (replay.values(partial(in_mode, replay, mode)) for mode in (True, False))
    if replay.alike(train, evaluation):
        return by_fact(TRIAL.name, "refuted", _SAME(count=replay.proved), evaluation, train)
    if code == "eval-mode-in-training":
        change, judge = Change(mode=partial(in_mode, replay, True)), partial(in_mode, replay, False)
        return pair(replay, TRIAL.name, _WHAT, change, judge=judge, decide=further)
    mean, low, high = interval(np.asarray(train) - np.asarray(evaluation))
    size = float(np.mean(np.abs(train)) + np.mean(np.abs(evaluation)))
    outcome: Outcome = "confirmed" if low > 0 or high < 0 else "open"
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=mean / size,
        interval=(max(-1.0, low / size), min(1.0, high / size)),
        curves={AS_IT_WAS: train, "other mode": evaluation},
    )
    text = _DIFFERENT(
        count=replay.proved,
        train=float(np.mean(train)),
        evaluation=float(np.mean(evaluation)),
        low=low,
        high=high,
    )
    return Outcomes(result=result, text=text)


_EXPECTED = Text(en="no difference", zh="应没有差别")
TRIAL = Trial(
    name="other-mode",
    judges=("eval-mode-in-training", "train-mode-in-evaluation"),
    expected=_EXPECTED,
    run=run,
)
