"""What the noise of stochastic steps costs, and the batch size at which that is as much as curvature costs.

With H the Hessian and C the covariance of per-sample gradients, the noise of one step of rate η and batch B raises the
loss by ½η² tr(HC)/B on average. B = tr(HC) / ḡᵀHḡ is the batch size at which that is the curvature's own share
(McCandlish et al., 2018, arXiv:1812.06162, eq. 2.8); the simple noise scale of the look at noise leaves curvature out.
"""

import math
from collections.abc import Iterator

from losscope.core.text import Text
from losscope.estimators.noise.curvature_noise import curvature_noise_scale
from losscope.examination.look import Fact, Look
from losscope.examination.looks.noise import units
from losscope.examination.place import Place

_PARTS = 16
_LEAST = 8
_COST = 4.0  # gradients for each part

_NOISE = Text(
    en="noise of one of the {units}, weighed by curvature: tr(HC) = {value:.4g} ± {stderr:.1g}; a step of rate η on B "
    "of them costs ½η²/B of that",
    zh="单个{units}的噪声按曲率加权：tr(HC) = {value:.4g} ± {stderr:.1g}；学习率 η、批大小 B 的一步因此增加其 ½η²/B",
)
_MEET = Text(
    en="batch normalisation takes its statistics from the batch: that is the noise of samples whose batch stays as it "
    "is, and batches of other samples differ by more",
    zh="批归一化使用批内统计量：以上是批不变时各样本的噪声，换一批样本时差异更大",
)
_SCALE = Text(
    en="noise costs as much as curvature at a batch size of about {batch:,.0f} ± {stderr:,.0f} {units}",
    zh="批大小约为 {batch:,.0f} ± {stderr:,.0f} 个{units}时，噪声的代价与曲率相当",
)


def _run(place: Place) -> Iterator[Fact]:
    affordable = int(place.left / (_COST * max(place.gradient_seconds, 1e-9)))
    parts = max(_LEAST, min(_PARTS, affordable))
    found = curvature_noise_scale(place.objective, parts=parts, seed=place.seed)
    noise, scale = found.noise, found.scale
    yield Fact(
        name="curvature-noise",
        text=_NOISE(value=noise.value, stderr=noise.stderr, units=units(found)),
        value=noise,
        figures={
            "parts": found.parts,
            "gradient": found.signal.value,
            "gradient stderr": found.signal.stderr,
        },
    )
    if math.isfinite(scale.value) and scale.value > 0 and scale.stderr < scale.value:
        yield Fact(
            name="curvature-noise-scale",
            text=_SCALE(batch=scale.value, stderr=scale.stderr, units=units(found)),
            value=scale,
        )
    if place.samples_meet:
        yield Fact(name="samples-meet", text=_MEET())


LOOK = Look(
    name="curvature-noise",
    title=Text(en="what the noise of steps costs", zh="步噪声的代价"),
    rank=7,
    cost=_COST * _LEAST,
    run=_run,
)
