"""The optimiser's own steps against the largest that are stable here.

On the quadratic around a point, a step with rates D is stable where λmax(D^½HD^½) is below 2, with momentum β below
2 + 2β, with averaged gradients (Adam) below (2 + 2β)/(1 - β): Cohen et al., 2021, arXiv:2103.00065, and 2022,
arXiv:2207.14484. Training at a constant rate tends to that edge and goes on there, so that a factor near 1 is no alarm.
Far below the edge the curvature does not limit the learning rate; beyond it the next steps overshoot along the sharpest
direction until they have left for a flatter region, or diverge. Not looked at where the optimiser is not known.
"""

import math
from collections.abc import Iterator

from losscope.core.text import Text
from losscope.estimators.flatness.stability import Stability, of_sharpness, stability_of
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_SHARE = 0.35  # of the time that is left
_EDGE = 1.25  # factors between 1/this and this: at the edge, where constant rates lead by themselves

_AT = Text(
    en="{name} ({momentum}) at learning rate {rates} is at the edge of stability: sharpness {value:.4g} of "
    "{limit:.4g}, where training at a constant rate tends to be",
    zh="{name}（{momentum}）在学习率 {rates} 下处于稳定边缘：锐度 {value:.4g}，界限 {limit:.4g}，"
    "恒定学习率的训练通常会趋于此处",
)
_BELOW = Text(
    en="{name} ({momentum}) at learning rate {rates} is stable here, up to {factor:.3g} times that: sharpness "
    "{value:.4g} of {limit:.4g}",
    zh="{name}（{momentum}）在学习率 {rates} 下于此处稳定，直至其 {factor:.3g} 倍：锐度 {value:.4g}，界限 {limit:.4g}",
)
_BEYOND = Text(
    en="{name} ({momentum}) at learning rate {rates} is beyond the edge of stability: sharpness {value:.4g} of "
    "{limit:.4g}; steps along the sharpest direction overshoot, {factor:.3g} times the rate would not",
    zh="{name}（{momentum}）在学习率 {rates} 下超出稳定边缘：锐度 {value:.4g}，界限 {limit:.4g}；沿最陡方向的步会越过，"
    "学习率降至 {factor:.3g} 倍则不会",
)
_FREE = Text(
    en="{name} at learning rate {rates}: no direction curves upwards, no rate is too large by curvature",
    zh="{name} 学习率 {rates}：没有向上弯曲的方向，曲率不限制学习率",
)


def _run(place: Place) -> Iterator[Fact]:
    step = place.step
    if step is None:
        return
    if step.uniform and (place.objective.whole.penalty is not None or not any(step.decays)):
        found = of_sharpness(step, place.top[0].scaled(step.rates[0]))
    else:
        found = stability_of(step, place.objective, seconds=_SHARE * place.left, seed=place.seed)
    yield Fact(
        name="stability",
        text=_text(found)(
            name=step.name,
            momentum=found.momentum,
            rates=", ".join(f"{rate:.4g}" for rate in found.rates),
            value=found.sharpness.value,
            limit=found.limit,
            factor=found.factor,
        ),
        value=found.sharpness,
        figures={
            "limit": found.limit,
            "factor": found.factor if math.isfinite(found.factor) else None,
            "rates": list(found.rates),
            "stable rates": [r if math.isfinite(r) else None for r in found.stable_rates],
        },
    )


def _text(found: Stability) -> Text:
    if found.factor == math.inf:
        return _FREE
    return _BELOW if found.factor > _EDGE else _BEYOND if found.factor < 1 / _EDGE else _AT


LOOK = Look(
    name="stability", title=Text(en="the optimiser's steps", zh="优化器的步长"), rank=4, cost=8, run=_run
)
