"""What it costs if every weight is off by one per cent: flatness that does not depend on the scale of the weights.

E L(θ∘(1 + εz)) - L(θ) with signs z = ±1 drawn at random, by evaluating it: about ½ε² Σ θ_i² H_ii, and every higher
order with it. Relative noise makes it invariant under a rescaling of ReLU layers, unlike the trace or the largest
eigenvalue of the Hessian (Petzka et al., 2021, arXiv:2001.00939, for measures of this kind). These moves are the
corners of the box over which the look at flatness in relative terms takes the worst.
"""

import math
import time
from collections.abc import Iterator

import torch

from losscope.core.estimate import Estimate
from losscope.core.text import Message, Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import with_error
from losscope.examination.place import Place

_RELATIVE = 0.01
_PAIRS = 16
_LEAST = 4

_COST = Text(
    en="each weight off by 1 % of itself, up or down at random, costs {value} ({share} of the loss)",
    zh="每个权重随机增减其自身的 1% 时，损失增加 {value}（为损失的 {share}）",
)
_MUCH = Text(
    en="each weight off by 1 % of itself, up or down at random, costs {value}, more than the whole loss",
    zh="每个权重随机增减其自身的 1% 时，损失增加 {value}，超过整个损失",
)
_ALONE = Text(
    en="each weight off by 1 % of itself, up or down at random, costs {value}",
    zh="每个权重随机增减其自身的 1% 时，损失增加 {value}",
)
_LOWER = Text(
    en="each weight off by 1 % of itself, up or down at random, lowers the loss by {value}",
    zh="每个权重随机增减其自身的 1% 时，损失下降 {value}",
)
_NOTHING = Text(
    en="each weight off by 1 % of itself, up or down at random, costs nothing that can be measured: at most {most:.2g}",
    zh="每个权重随机增减其自身的 1% 时，损失没有可测的变化：至多 {most:.2g}",
)
_NONE = Text(
    en="each weight off by 1 % of itself, up or down at random, does not change the loss",
    zh="每个权重随机增减其自身的 1% 时，损失不变",
)


def _run(place: Place) -> Iterator[Fact]:
    theta, random = place.objective.theta, place.generator()
    found: list[float] = []
    for done in range(_PAIRS):
        began = time.perf_counter()
        z = torch.randint(2, theta.shape, generator=random).to(theta) * 2 - 1
        step = _RELATIVE * theta * z
        both = place.objective.value(theta + step) + place.objective.value(theta - step)
        found.append(both / 2 - place.value)  # a pair: the slope drops out
        if done + 1 >= _LEAST and place.left < time.perf_counter() - began:
            place.cut_short = place.cut_short or done + 1 < _PAIRS
            break
    mean = sum(found) / len(found)
    spread = math.sqrt(sum((f - mean) ** 2 for f in found) / (len(found) - 1) / len(found))
    share = mean / abs(place.value) if place.value else None
    yield Fact(
        name="relative-flatness",
        text=_text(mean, spread, share),
        value=Estimate(mean, spread, 2 * len(found)),
        figures={"relative noise": _RELATIVE, "share": share},
    )


def _text(mean: float, spread: float, share: float | None) -> Message:
    value = with_error(abs(mean), spread, 3)
    if mean == 0 == spread:
        return _NONE()
    if abs(mean) < 2 * spread:
        return _NOTHING(most=abs(mean) + 2 * spread)
    if mean < 0:
        return _LOWER(value=value)
    if share is None:
        return _ALONE(value=value)
    return _MUCH(value=value) if share > 1 else _COST(value=value, share=percent(share))


LOOK = Look(name="flatness", title=Text(en="flatness", zh="平坦度"), rank=4, cost=3, run=_run)
