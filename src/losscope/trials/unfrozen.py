"""All parameters of the modules are trained, as the optimiser's first group is: does the loss then fall further?

Refuted by a fact where the optimiser of the run holds all of them already.

**Source.** Yosinski et al. (2014), arXiv:1411.1792: layers that are held fix what the others can do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor

from losscope.core.text import Text
from losscope.trials.pair import NOT_MORE, by_fact, further, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="with all parameters trained", zh="训练全部参数时")
_NONE = Text(en="the optimiser holds all parameters of the modules", zh="优化器包含模块的全部参数")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    assert replay.window.optimizer is not None
    held = {id(replay.parameters[i]) for places in replay.window.optimizer.places for i in places}
    known = {id(p) for p in replay.parameters}
    idle = [p for p in replay.parameters if id(p) not in held]
    frozen = [p for p in replay.whole.parameters() if id(p) not in known and p.is_floating_point()]
    if not idle and not frozen:
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    change, within = Change(more=[*idle, *frozen]), partial(thawed, frozen)
    return pair(replay, TRIAL.name, _WHAT, change, within=within, decide=further)


@contextmanager
def thawed(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Frozen parameters have a gradient for a while."""
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)


TRIAL = Trial(
    name="unfrozen", judges=("parameters-frozen", "parameters-not-optimised"), expected=NOT_MORE, run=run
)
