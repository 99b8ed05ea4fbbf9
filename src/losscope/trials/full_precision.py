"""The same updates in float32 instead of bfloat16 or float16: does the loss then fall further?

Parameters, buffers, inputs and the optimiser's state are float32 and autocast is off. The arms begin at the same
values. Refuted by a fact where nothing was less precise than that.

**Source.** Updates below half a unit of the last place are lost: Micikevicius et al. (2018), arXiv:1710.03740.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from losscope.core.text import Text
from losscope.objective.rebuild.program import Program
from losscope.trials.pair import NOT_MORE, by_fact, pair
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_HALF = (torch.float16, torch.bfloat16)
_WHAT = Text(en="in float32", zh="使用 float32 时")
_NONE = Text(en="nothing that was replayed is less precise than float32", zh="重放的内容精度均不低于 float32")


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    model = replay.whole.model
    halves = [t for t in (*replay.whole.parameters(), *replay.whole.buffers()) if t.dtype in _HALF]
    if not halves and not (isinstance(model, Program) and any(model.autocasts)):
        return by_fact(TRIAL.name, "refuted", _NONE(), replay.values())
    return pair(replay, TRIAL.name, _WHAT, Change(), within=partial(in_float32, replay))


@contextmanager
def in_float32(replay: Replay) -> Iterator[None]:
    """Everything in float32 for a while; the tensors themselves are put back."""
    model, batches = replay.whole.model, replay.batches
    tensors = [*replay.whole.parameters(), *replay.whole.buffers(), *replay.parameters]
    kept = [(t, t.data) for t in tensors if t.dtype in _HALF]
    autocasts = model.autocasts if isinstance(model, Program) else []
    try:
        for tensor, data in kept:
            tensor.data = data.float()
        replay.batches = [[batch.moved(_float) for batch in update] for update in batches]
        if isinstance(model, Program):
            model.autocasts = [None for _ in autocasts]
        yield
    finally:
        for tensor, data in kept:
            tensor.data = data
        replay.batches = batches
        if isinstance(model, Program):
            model.autocasts = autocasts


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _HALF else tensor


TRIAL = Trial(
    name="full-precision",
    judges=("precision-stalled", "precision-overflow"),
    expected=NOT_MORE,
    run=run,
    early=False,
)
