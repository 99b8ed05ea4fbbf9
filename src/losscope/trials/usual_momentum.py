"""The same updates with a momentum of 0.9 that begins at rest: does the loss then fall further?

Refuted by a fact where the optimiser has no momentum above that.

**Source.** Polyak (1964), doi:10.1016/0041-5553(64)90137-5.
"""

from typing import Any

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_USUAL = 0.9
_WHAT = Text(en="with a momentum of 0.9", zh="动量为 0.9 时")
_NONE = Text(en="no group of the optimiser has a momentum above 0.9", zh="优化器各组的动量都不超过 0.9")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    group = max((g for step in replay.window.steps for g in step.settings), key=_momentum)
    if not _momentum(group) > _USUAL:
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    settings: dict[str, Any] = {"momentum": _USUAL}
    if isinstance(group.get("betas"), tuple):
        settings["betas"] = (_USUAL, *group["betas"][1:])
    return pair(replay, TRIAL.name, _WHAT, Change(settings=settings, state=False))


def _momentum(group: dict[str, Any]) -> float:
    betas = group.get("betas")
    found = betas[0] if isinstance(betas, tuple) and betas else group.get("momentum")
    return float(found) if isinstance(found, int | float) else 0.0


TRIAL = Trial(name="usual-momentum", judges=("momentum-too-high",), expected=NOT_MORE, run=run, early=False)
