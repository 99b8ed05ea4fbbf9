"""The targets of each batch in another order: if training goes on as before, they carry no information as wired.

Two arms learn from the same batches, one with the targets permuted anew at every update, and are judged by other
batches with their own targets. The effect is that of permuting. Labels that tell something about the inputs make
the loss fall at least twice as far with the true pairing. They tell nothing where the judged loss does not fall with
the true pairing although that of the learnt batches does: what was learnt, was learnt by heart. Where neither falls,
nothing is known.

The kept parameters may know the judged batches by heart already, and new ones lack what was learnt elsewhere before
the run. It is therefore confirmed only where both fail, and refuted where either succeeds.

**Source.** Permutation tests: Fisher (1935); of labels of networks: Zhang et al. (2017), arXiv:1611.03530.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.objective.batches import Batch
from losscope.objective.rebuild.tree import leaves
from losscope.trials.arms import TWICE, Arm, Effect, Start, affordable, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.starts import fresh
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_UPDATES = 64
_TEXT = Text(
    en="with permuted targets the loss of other batches went from {before} to {changed} in {updates} updates, with the "
    "true ones to {baseline} (effect {effect})",
    zh="打乱标签后，其他批次的损失在 {updates} 次更新中从 {before} 变为 {changed}，使用真实标签时变为 {baseline}"
    "（效应 {effect}）",
)


def permuted(batch: Batch, update: int) -> Batch:
    """The batch with its targets in an order that depends on ``update`` alone; the same one for all of one length."""

    def moved(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] < 2:
            return tensor
        order = torch.randperm(tensor.shape[0], generator=torch.Generator().manual_seed(update))
        return tensor[order.to(tensor.device)]

    return replace(batch, target=batch.moved(moved).target)


def run(replay: Replay, code: str) -> Outcomes | None:
    if not any(t.dim() and t.shape[0] > 1 for t in leaves(replay.batches[0][0].target)):
        return None
    answers: list[tuple[Outcome, Outcomes]] = []
    for starts, state in ((fresh(replay), False), ([replay.restore], True)):
        if starts and "refuted" not in [outcome for outcome, _ in answers]:
            answers.append(_from(replay, code, starts, state=state))
    outcomes = [outcome for outcome, _ in answers]
    told = answers[-1 if "refuted" in outcomes else 0][1]
    outcome: Outcome = "refuted" if "refuted" in outcomes else "open"
    if len(outcomes) > 1 and set(outcomes) == {"confirmed"}:
        outcome = "confirmed"
    return replace(told, result=replace(told.result, outcome=outcome))


def _from(replay: Replay, code: str, starts: Sequence[Start], *, state: bool) -> tuple[Outcome, Outcomes]:
    """What is seen from these starts alone."""
    changes = {"true targets": Change(state=state), "permuted targets": Change(batch=permuted, state=state)}
    starts, updates = affordable(replay, len(changes), starts, _UPDATES)
    arms = compare(replay, changes, starts, updates=updates)
    true, changed = arms["true targets"], arms["permuted targets"]
    found = effect(true, changed)
    outcome = _outcome(code, found, true)
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=found.value,
        interval=found.interval,
        curves={name: arm.curve for name, arm in arms.items()},
    )
    text = _TEXT(
        before=true.level[0],
        changed=changed.level[1],
        baseline=true.level[1],
        updates=updates,
        effect=str(found),
    )
    return outcome, Outcomes(result=result, text=text)


def _outcome(code: str, found: Effect, true: Arm) -> Outcome:
    if found.high < -TWICE and true.falls[1] > 0:  # chance level may have other causes
        return "refuted" if code == "labels-unrelated" else "open"
    learns = np.isfinite(true.learnt).all() and float(true.learnt.mean()) > 0
    apart = abs(float(true.learnt.mean())) > 2 * abs(true.falls[0]) if learns else False
    return "confirmed" if learns and apart and true.falls[1] <= 0 else "open"


_EXPECTED = Text(en="a further fall with the true ones", zh="使用真实标签时应下降更多")
TRIAL = Trial(
    name="permuted-labels", judges=("labels-unrelated", "loss-at-chance"), expected=_EXPECTED, run=run
)
