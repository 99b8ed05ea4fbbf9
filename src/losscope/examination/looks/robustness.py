"""What it costs if every weight is off by one per cent: flatness that does not depend on the scale of the weights.

E L(θ∘(1 + εz)) - L(θ) with z normal, by evaluating it: about ½ε² Σ θ_i² H_ii, and every higher order with it. Relative
noise makes it invariant under a rescaling of ReLU layers, unlike the trace or the largest eigenvalue of the Hessian
(Petzka et al., 2021, arXiv:2001.00939, for measures of this kind).
"""

import math
import time
from collections.abc import Iterator

import torch

from losscope.core.estimate import Estimate
from losscope.core.text import Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_RELATIVE = 0.01
_PAIRS = 16
_LEAST = 4

_COST = Text(
    en="weights that are off by 1 % at random cost {value:.3g} ± {stderr:.1g} ({share} of the loss)",
    zh="权重随机偏差 1% 时损失增加 {value:.3g} ± {stderr:.1g}（为损失的 {share}）",
)
_MUCH = Text(
    en="weights that are off by 1 % at random cost {value:.3g} ± {stderr:.1g}, more than the whole loss",
    zh="权重随机偏差 1% 时损失增加 {value:.3g} ± {stderr:.1g}，超过整个损失",
)
_NOTHING = Text(
    en="weights that are off by 1 % at random cost nothing that can be measured: at most {most:.2g}",
    zh="权重随机偏差 1% 时损失没有可测的变化：至多 {most:.2g}",
)


def _run(place: Place) -> Iterator[Fact]:
    theta, random = place.objective.theta, place.generator()
    found: list[float] = []
    for done in range(_PAIRS):
        began = time.perf_counter()
        z = torch.randn(theta.shape, generator=random, dtype=torch.float64).to(theta)
        step = _RELATIVE * theta * z
        both = place.objective.value(theta + step) + place.objective.value(theta - step)
        found.append(both / 2 - place.value)  # a pair: the slope drops out
        if done + 1 >= _LEAST and place.left < time.perf_counter() - began:
            place.cut_short = place.cut_short or done + 1 < _PAIRS
            break
    mean = sum(found) / len(found)
    spread = math.sqrt(sum((f - mean) ** 2 for f in found) / (len(found) - 1) / len(found))
    share = mean / abs(place.value) if place.value else math.inf
    if abs(mean) < 2 * spread:
        text = _NOTHING(most=abs(mean) + 2 * spread)
    elif share > 1:
        text = _MUCH(value=mean, stderr=spread)
    else:
        text = _COST(value=mean, stderr=spread, share=percent(share))
    yield Fact(
        name="relative-flatness",
        text=text,
        value=Estimate(mean, spread, 2 * len(found)),
        figures={"relative noise": _RELATIVE, "share": share},
    )


LOOK = Look(name="flatness", title=Text(en="flatness", zh="平坦度"), rank=4, cost=3, run=_run)
