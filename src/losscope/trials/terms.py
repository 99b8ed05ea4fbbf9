"""The terms of a replayed objective with other weights, for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from losscope.objective.rebuild.program import SumLoss, TermsLoss
from losscope.trials.replay import Replay


def count_of(replay: Replay) -> int:
    """How many terms the loss has, beside the penalty."""
    loss = replay.whole.loss
    return len(
        loss.pieces if isinstance(loss, TermsLoss) else loss.sources if isinstance(loss, SumLoss) else ()
    )


@contextmanager
def weighted(replay: Replay, weights: Sequence[float], penalty: float = 1.0) -> Iterator[None]:
    """Every term times its weight, and the penalty times one. A term of weight 0 is not computed."""
    loss: Any = replay.whole.loss
    name = "pieces" if isinstance(loss, TermsLoss) else "sources"
    before, whole_penalty = getattr(loss, name), replay.whole.penalty
    try:
        setattr(loss, name, [(c * w, rest) for (c, rest), w in zip(before, weights, strict=True)])
        if whole_penalty is not None:
            replay.whole.penalty = (lambda model: penalty * whole_penalty(model)) if penalty else None
        yield
    finally:
        setattr(loss, name, before)
        replay.whole.penalty = whole_penalty
