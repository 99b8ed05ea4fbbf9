"""Every input scaled to mean 0 and variance 1 over the kept batches: does the loss then fall further?

Real inputs of two axes are scaled by feature, of more by channel (the axis after the batch). Both arms begin at
parameters drawn anew, where the modules can, else at those of the window's beginning. Confirmed where the loss
as it was ends above half the way that it goes down with scaled inputs, refuted where it ends no higher, or
where the inputs are scaled like that already: means within half a standard deviation of 0, these between a half
and 2.

**Source.** LeCun et al. (1998), "Efficient BackProp", section 4.3.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from losscope.core.text import Text
from losscope.objective.batches import Batch
from losscope.trials.pair import NOT_MORE, by_fact, level, pair
from losscope.trials.replay import Replay
from losscope.trials.starts import fresh
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="with inputs of mean 0 and variance 1", zh="将输入标准化为均值 0、方差 1 后")
_ALREADY = Text(en="the inputs have mean 0 and variance 1 already", zh="输入的均值已为 0、方差已为 1")
_MEAN, _DEVIATION = 0.5, 2.0


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    batches = [batch for batches in replay.batches for batch in batches]
    figures = [_figures(column) for column in zip(*(_inputs(batch) for batch in batches), strict=True)]
    if not figures:
        return None
    if all(_near(mean, deviation) for mean, deviation in figures):
        return by_fact(TRIAL.name, "refuted", _ALREADY(), replay.values())
    new = fresh(replay)
    change, within = Change(state=not new), partial(normalised, replay, figures)
    return pair(replay, TRIAL.name, _WHAT, change, baseline=change, within=within, starts=new, decide=level)


def _near(mean: Tensor, deviation: Tensor) -> bool:
    wide, narrow = bool((deviation <= _DEVIATION).all()), bool((deviation >= 1 / _DEVIATION).all())
    return wide and narrow and bool((mean.abs() <= _MEAN).all())


@contextmanager
def normalised(replay: Replay, figures: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """The batches of the replay with scaled inputs, for a while."""
    before = replay.batches
    replay.batches = [[_scaled(batch, figures) for batch in batches] for batches in before]
    try:
        yield
    finally:
        replay.batches = before


def _inputs(batch: Batch) -> list[Tensor]:
    """The real inputs that have a batch and features."""
    return [t for t in replace(batch, target=None).tensors() if _is_real(t)]


def _is_real(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 1


def _figures(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of one input by feature or channel; constant ones are left as they are wide."""
    rows = torch.cat([t.detach().movedim(1, -1).reshape(-1, t.shape[1]).double() for t in tensors])
    deviation = rows.std(0, correction=0)
    return rows.mean(0), torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def _scaled(batch: Batch, figures: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    remaining = iter(figures)

    def moved(tensor: Tensor) -> Tensor:
        if not _is_real(tensor):
            return tensor
        mean, deviation = (f.to(tensor).reshape(-1, *[1] * (tensor.dim() - 2)) for f in next(remaining))
        return (tensor - mean) / deviation

    return replace(replace(batch, target=None).moved(moved), target=batch.target)


TRIAL = Trial(name="normalised-inputs", judges=("unnormalised-input",), expected=NOT_MORE, run=run)
