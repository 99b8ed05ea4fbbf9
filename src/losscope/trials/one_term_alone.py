"""Each term of the loss trained alone: does it then fall further than beside the others?

A term that is trained alone is multiplied so that its gradient at the start has the norm that the whole
gradient has there: the step is as long. Every term is judged by its own value. A term is starved where, alone,
it falls at least twice as far: confirmed by the one for which that is surest. Refuted where the loss has a
single term, or each of them falls as far beside the others.

**Source.** Conflicts and shares of gradients: Yu et al. (2020), arXiv:2001.06782; Chen et al. (2018), arXiv:1711.02257.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from losscope.core.text import Text
from losscope.trials.arms import TWICE, Arm, Effect, affordable, compare, effect
from losscope.trials.pair import AS_IT_WAS, NOT_MORE, answer, by_fact
from losscope.trials.replay import Replay
from losscope.trials.terms import count_of, weighted
from losscope.trials.training import Change, Mode
from losscope.trials.trial import Outcome, Outcomes, Trial

_TINY = 1e-30
_WHAT = Text(en="trained alone, one term of", zh="单独训练其中一项时，")
_NONE = Text(en="the loss that was replayed has a single term", zh="重放的损失只有一项")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    count = count_of(replay)
    if count < 2:
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    starts, updates = affordable(replay, 2 * count, [replay.restore])
    pairs: list[tuple[Arm, Arm, Effect]] = []
    for term in range(count):
        alone = partial(_alone, replay, term, count)
        weight = _norm(replay, nullcontext) / max(_norm(replay, alone), _TINY)
        changes = {AS_IT_WAS: Change(), "": Change(mode=partial(_alone, replay, term, count, weight))}
        arms = compare(replay, changes, starts, updates=updates, judge=alone)
        pairs.append((arms[AS_IT_WAS], arms[""], effect(arms[AS_IT_WAS], arms[""])))
    baseline, changed, _ = max(pairs, key=lambda one: one[2].low)
    refuted = all(found.high < TWICE for _, _, found in pairs)

    def decide(_before: Arm, after: Arm, found: Effect) -> Outcome:
        if found.low > TWICE and after.falls[1] > 0:
            return "confirmed"
        return "refuted" if refuted else "open"

    return answer(TRIAL.name, _WHAT, baseline, changed, updates, decide)


def _alone(replay: Replay, term: int, count: int, weight: float = 1.0) -> AbstractContextManager[Any]:
    return weighted(replay, [weight * (other == term) for other in range(count)], 0.0)


def _norm(replay: Replay, mode: Mode) -> float:
    """Norm of the gradient of the first batch where the replay stands."""
    _, gradients = replay.gradient(replay.batches[0], None, 0, mode)
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))


TRIAL = Trial(name="one-term-alone", judges=("term-starved",), expected=NOT_MORE, run=run, early=False)
