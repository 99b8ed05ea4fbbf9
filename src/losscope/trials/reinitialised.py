"""Weights drawn anew so that every layer keeps the variance of what it gets: does the loss then fall?

Matrices and kernels are orthogonal, each divided by the standard deviation of its layer's output on a kept batch, one
layer after the other; biases are zero. The other arm begins at the kept parameters. Confirmed where these end above
half the way that the loss goes down from the new weights, refuted where they end no higher.

**Source.** Layer-sequential unit-variance initialisation: Mishkin and Matas (2016), arXiv:1511.06422; He et al. (2015),
arXiv:1502.01852.
"""

from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.text import Text
from losscope.objective.randomness import fixed_randomness
from losscope.trials.arms import affordable, compare
from losscope.trials.pair import AS_IT_WAS, NOT_MORE, answer, level
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_WHAT = Text(en="from weights that preserve variance", zh="从保持方差的权重开始时")
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LEAST = 1e-12  # a standard deviation that can be divided by


def preserve_variance(replay: Replay) -> None:
    """Draw the weights of all layers anew where the replay stands."""
    layers = [m for m in replay.whole.modules() if isinstance(m, _LAYERS)]

    def scale(module: Any, _arguments: Any, output: Tensor) -> Tensor:
        deviation = float(output.detach().double().std()) if output.numel() > 1 else 0.0
        if not _LEAST < deviation < 1 / _LEAST:
            return output
        module.weight.div_(deviation)
        return (output if module.bias is None else output - module.bias) / deviation

    with torch.no_grad(), fixed_randomness(0):
        for layer in layers:
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                layer.bias.zero_()
        handles = [layer.register_forward_hook(scale) for layer in layers]
        try:
            replay.values(places=[0])
        finally:
            for handle in handles:
                handle.remove()


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if not any(isinstance(m, _LAYERS) for m in replay.whole.modules()):
        return None
    starts, updates = affordable(replay, 2, [replay.restore])
    baseline = compare(replay, {AS_IT_WAS: Change()}, starts, updates=updates)[AS_IT_WAS]

    def start() -> None:
        replay.restore()
        preserve_variance(replay)

    changed = compare(replay, {"": Change(state=False)}, [start], updates=updates)[""]
    return answer(TRIAL.name, _WHAT, baseline, changed, updates, level)


TRIAL = Trial(
    name="reinitialised",
    judges=(
        "bad-initialisation",
        "vanishing-gradient",
        "exploding-gradient",
        "dead-units",
        "saturated-units",
    ),
    expected=NOT_MORE,
    run=run,
)
