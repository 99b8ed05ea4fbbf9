"""The inputs of each batch in another order, the targets as they are: does the loss change at all?

The loss of every kept batch is computed with its own pairing and with several others, at the kept parameters and after
some updates more. A model that ignores its input has the same loss to rounding, whatever belongs to what: confirmed.
Refuted where the true pairing has the lower loss, significantly.

**Source.** Permutation importance: Breiman (2001), doi:10.1023/A:1010933404324.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.objective.batches import Batch
from losscope.objective.rebuild.tree import leaves
from losscope.trials.arms import affordable, interval
from losscope.trials.replay import Replay
from losscope.trials.training import Change, Training
from losscope.trials.trial import Outcomes, Trial

_ORDERS = 4
_TEXT = Text(
    en="with the inputs of each batch in another order the mean loss is {changed:.6g}, in their own {seen:.6g} "
    "(difference 95 % {low:.2g} … {high:.2g}, {count} batches)",
    zh="将每个批次的输入打乱顺序后平均损失为 {changed:.6g}，原顺序为 {seen:.6g}"
    "（差异 95% {low:.2g} … {high:.2g}，共 {count} 个批次）",
)


def shuffled(batch: Batch, order: int) -> Batch:
    """The batch with the samples of all inputs of its length in one other order."""

    def moved(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != batch.samples:
            return tensor
        places = torch.randperm(batch.samples, generator=torch.Generator().manual_seed(order))
        return tensor[places.to(tensor.device)]

    return replace(batch.moved(moved), target=batch.target)


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    batch = replay.batches[0][0]
    if batch.samples < 2 or not any(t.dim() and t.shape[0] == batch.samples for t in leaves(batch.target)):
        return None  # a model that is given its targets among its inputs
    seen, made = _both(replay)
    same = replay.alike(seen, made)
    if (
        interval(np.asarray(made) - np.asarray(seen))[1] <= 0
    ):  # new parameters may not tell the inputs apart yet
        _, updates = affordable(replay, 1, [replay.restore])
        Training(replay, Change(), 0, range(replay.proved)).go(updates)
        later = _both(replay)
        replay.restore()
        if np.isfinite(later).all():
            seen, made = later
    mean, low, high = interval(np.asarray(made) - np.asarray(seen))
    size = abs(float(np.mean(seen))) + abs(float(np.mean(made)))
    effect, low_e, high_e = (min(1.0, max(-1.0, v / size)) if size else 0.0 for v in (mean, low, high))
    result = TrialResult(
        name=TRIAL.name,
        outcome="confirmed" if same and replay.alike(seen, made) else "refuted" if low > 0 else "open",
        effect=effect,
        interval=(low_e, high_e),
        curves={"as it was": seen, "shuffled inputs": made},
    )
    text = _TEXT(
        changed=float(np.mean(made)), seen=float(np.mean(seen)), low=low, high=high, count=replay.proved
    )
    return Outcomes(result=result, text=text)


def _both(replay: Replay) -> tuple[list[float], list[float]]:
    """The loss of every batch with its own pairing, and its mean over others."""
    seen, kept, made = replay.values(), replay.batches, []
    try:
        for order in range(_ORDERS):
            replay.batches = [[shuffled(batch, order) for batch in batches] for batches in kept]
            made.append(replay.values())
    finally:
        replay.batches = kept
    return seen, np.mean(made, axis=0).tolist()


_EXPECTED = Text(en="a higher loss than with the true pairing", zh="损失应高于正确配对时")
TRIAL = Trial(name="shuffled-inputs", judges=("input-has-no-effect",), expected=_EXPECTED, run=run)
