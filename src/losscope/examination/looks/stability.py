"""The optimiser's own steps against the largest that are stable here.

On the quadratic around a point, a step with rates D is stable where λmax(D^½HD^½) is below 2, with momentum β below
2 + 2β, with averaged gradients (Adam) below (2 + 2β)/(1 - β): Cohen et al., 2021, arXiv:2103.00065, and 2022,
arXiv:2207.14484. Training at a constant rate tends to that edge and goes on there, so that a factor near 1 is no alarm.
Far below the edge the curvature does not limit the learning rate; beyond it the next steps overshoot along the sharpest
direction until they have left for a flatter region, or diverge. The optimiser steps on the loss as it was given: of one
that sums, H is that of the sum over a batch, not of the mean that an objective is. Not looked at where the optimiser is
not known.
"""

import math
from collections.abc import Iterator
from functools import partial

from losscope.core.text import Text
from losscope.estimators.flatness.stability import Stability, of_sharpness, stability_of
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_SHARE = 0.35  # of the time that is left
_EDGE = 1.25  # factors between 1/this and this: at the edge, where constant rates lead by themselves

_AT = Text(
    en="{name} ({momentum}) at learning rate {rates} is at the edge of stability: sharpness {value:.4g} of "
    "{limit:.4g}, where training at a constant rate tends to be{of}",
    zh="{name}（{momentum}）在学习率 {rates} 下处于稳定边缘：锐度 {value:.4g}，界限 {limit:.4g}，"
    "恒定学习率的训练通常会趋于此处{of}",
)
_BELOW = Text(
    en="{name} ({momentum}) at learning rate {rates} is stable here, up to {factor:.3g} times that: sharpness "
    "{value:.4g} of {limit:.4g}{of}",
    zh="{name}（{momentum}）在学习率 {rates} 下于此处稳定，直至其 {factor:.3g} 倍：锐度 {value:.4g}，"
    "界限 {limit:.4g}{of}",
)
_BEYOND = Text(
    en="{name} ({momentum}) at learning rate {rates} is beyond the edge of stability: sharpness {value:.4g} of "
    "{limit:.4g}; steps along the sharpest direction overshoot, {factor:.3g} times the rate would not{of}",
    zh="{name}（{momentum}）在学习率 {rates} 下超出稳定边缘：锐度 {value:.4g}，界限 {limit:.4g}；沿最陡方向的步会越过，"
    "学习率降至 {factor:.3g} 倍则不会{of}",
)
_FREE = Text(
    en="{name} at learning rate {rates}: no direction curves upwards, no rate is too large by curvature",
    zh="{name} 学习率 {rates}：没有向上弯曲的方向，曲率不限制学习率",
)
_OPEN = Text(
    en="{name} at learning rate {rates}: whether that is stable is not known yet, the search for the sharpness was cut "
    "short; more seconds would tell",
    zh="{name} 学习率 {rates}：是否稳定尚不清楚，锐度的搜索被中断；需要更多时间",
)
_AT_LEAST = Text(
    en="{name} ({momentum}) at learning rate {rates}: sharpness at least {value:.4g} of {limit:.4g}, so that at most "
    "{factor:.3g} times that is stable here; the search was cut short, more seconds would tell{of}",
    zh="{name}（{momentum}）学习率 {rates}：锐度至少为 {value:.4g}，界限 {limit:.4g}，因此至多其 {factor:.3g} 倍在"
    "此处稳定；搜索被中断，需要更多时间{of}",
)

_SUMMED = Text(
    en="; the loss is stepped on as it sums, with {scale:.4g} times the curvature of the mean",
    zh="；优化器作用于求和的损失，其曲率为均值的 {scale:.4g} 倍",
)
_AS_IT_IS = Text(en="", zh="")


def _run(place: Place) -> Iterator[Fact]:
    scale, penalised = place.objective.scale, place.objective.whole.penalty is not None
    step = place.step  # raises where it cannot be read
    if step is None:
        return
    if step.uniform and (scale == 1 if penalised else not any(step.decays)):
        found = of_sharpness(step, place.top[0].scaled(scale * step.rates[0]), place.top.converged)
    else:
        search = partial(stability_of.search, step, place.objective, seed=place.seed)
        found = place.stretch("stability", search, _SHARE)
    place.cut_short = place.cut_short or not found.converged
    yield Fact(
        name="stability",
        text=_text(found)(
            name=step.name,
            momentum=found.momentum,
            rates=", ".join(f"{rate:.4g}" for rate in found.rates),
            value=found.sharpness.value,
            limit=found.limit,
            factor=found.factor,
            of=_AS_IT_IS() if scale == 1 else _SUMMED(scale=scale),
        ),
        value=found.sharpness,
        figures={
            "limit": found.limit,
            "scale": scale,
            "converged": found.converged,
            "factor": found.factor if math.isfinite(found.factor) else None,
            "rates": list(found.rates),
            "stable rates": [r if math.isfinite(r) else None for r in found.stable_rates],
        },
    )


def _text(found: Stability) -> Text:
    if not found.converged:
        return _AT_LEAST if found.sharpness.value > found.sharpness.stderr else _OPEN
    if found.factor == math.inf:
        return _FREE
    return _BELOW if found.factor > _EDGE else _BEYOND if found.factor < 1 / _EDGE else _AT


LOOK = Look(
    name="stability", title=Text(en="the optimiser's steps", zh="优化器的步长"), rank=4, cost=8, run=_run
)
