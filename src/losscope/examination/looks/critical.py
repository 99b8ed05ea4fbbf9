"""Slope, saddle, maximum or minimum: what the next step could still gain, and whether a direction leads down.

One gradient step of length 1/λ, with the largest eigenvalue λ, lowers the loss by about ‖∇L‖²/(2λ). Where that is a
noticeable share of the loss above its floor, and the gradient is more than rounding, the point is on a slope. Else a
negative eigenvalue beyond its error bound makes it a saddle: the loss falls along that eigenvector to both sides, which
is tried. If the largest is negative as well, beyond its bound, it is a maximum. Else it is a minimum, as far as the
smallest eigenvalue is known; eigenvalues within their bounds of 0 are flat directions, which every network has.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from losscope.core.estimate import Estimate
from losscope.core.text import Message, Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import with_error
from losscope.examination.place import Place

_NOTICEABLE = 1e-3
_NEGATIVE = 1e-3  # of the largest curvature: below that a direction is flat at any scale that matters
_STEPS = (0.01, 0.03, 0.1, 0.3, 1.0)

_SLOPE = Text(
    en="on a slope: one stable gradient step lowers the loss by about {gain:.2g}, {share} of {whole}",
    zh="处于斜坡：一次稳定的梯度步约使损失下降 {gain:.2g}，占{whole}的 {share}",
)
_FROM_ZERO = Text(
    en="on a slope: one stable gradient step lowers the loss by about {gain:.2g}",
    zh="处于斜坡：一次稳定的梯度步约使损失下降 {gain:.2g}",
)
_STEEP = Text(
    en="on a steep slope: to second order one gradient step of length 1/λ would lower the loss by {gain:.2g}, more "
    "than {whole}",
    zh="处于陡坡：按二阶近似，一次长度为 1/λ 的梯度步会使损失下降 {gain:.2g}，超过{whole}",
)
_STRAIGHT = Text(
    en="on a slope without curvature: nothing here says how far the loss falls",
    zh="处于没有曲率的斜坡：此处无法看出损失会下降多远",
)
_DOWNHILL = Text(
    en="on a slope where no direction curves upwards: nothing here says how far the loss falls",
    zh="处于没有向上弯曲方向的斜坡：此处无法看出损失会下降多远",
)
_SLOPING = Text(
    en="on a slope; how much a step may gain is not known yet, nor is the largest curvature: more seconds would tell",
    zh="处于斜坡；最大曲率与一步可得的改善尚不清楚：需要更多时间",
)
_ABOVE = Text(en="what is above the floor", zh="下限以上部分")
_VALUE = Text(en="its value", zh="其值")
_SADDLE = Text(
    en="a saddle: curvature {value} in one direction, along which the loss {falls}",
    zh="鞍点：某一方向上的曲率为 {value}，沿此方向损失{falls}",
)
_MAXIMUM = Text(
    en="a maximum: every direction curves downwards (curvatures from {value} to {top}); along the steepest the loss "
    "{falls}",
    zh="极大点：所有方向均向下弯曲（曲率从 {value} 到 {top}）；沿最陡方向损失{falls}",
)
_CREST = Text(
    en="a saddle or a maximum: curvature {value} in one direction, along which the loss {falls}; no direction curves "
    "upwards beyond the error",
    zh="鞍点或极大点：某一方向上的曲率为 {value}，沿此方向损失{falls}；没有超出误差的向上弯曲方向",
)
_FALLS = Text(
    en="falls by {gain:.3g} within a distance of {far:.3g}", zh="在距离 {far:.3g} 之内下降 {gain:.3g}"
)
_GOES_ON = Text(
    en="falls by {gain:.3g} within a distance of {far:.3g}, the furthest that was tried, and goes on falling there",
    zh="在所试的最远距离 {far:.3g} 处下降 {gain:.3g}，并仍在下降",
)
_FALLS_NEAR = Text(
    en="falls less far than the shortest distance that was tried, {near:.3g}",
    zh="下降的距离小于所试的最短距离 {near:.3g}",
)
_MINIMUM = Text(
    en="a minimum as far as can be told: no direction was seen to curve down by more than {least:.1g} (the largest "
    "curvature is {top:.3g}), and {gains}",
    zh="就目前所见为极小点：没有发现向下弯曲超过 {least:.1g} 的方向（最大曲率为 {top:.3g}），{gains}",
)
_GAINS = Text(en="one step gains {gain:.1g}", zh="一步仅改善 {gain:.1g}")
_GAINS_NOTHING = Text(en="the gradient is 0 to rounding", zh="梯度在舍入误差内为 0")
_FLAT = Text(
    en="flat: neither a slope nor a curvature; whether the loss falls further away is not seen from here",
    zh="平坦：既无斜率也无曲率；更远处损失是否下降，从此处看不出",
)
_OPEN = Text(
    en="no slope to speak of; the smallest curvature is not known yet ({value:.3g} ± {bound:.1g}): more seconds would "
    "tell",
    zh="几乎没有斜率；最小曲率尚不清楚（{value:.3g} ± {bound:.1g}）：需要更多时间",
)
_BENT = Text(
    en="a direction of negative curvature as well: {value}",
    zh="另有负曲率方向：{value}",
)


@dataclass(frozen=True, slots=True)
class _Curvature:
    """The largest and the smallest curvature, their bounds, and whether both searches have ended."""

    top: float
    top_bound: float
    value: float
    bound: float
    converged: bool
    top_converged: bool

    @property
    def positive(self) -> float:
        return max(self.top, 0.0)

    @property
    def negative(self) -> bool:
        return self.value + self.bound < -_NEGATIVE * self.positive

    @property
    def known(self) -> str:
        return with_error(self.value, self.bound)


def _run(place: Place) -> Iterator[Fact]:
    pairs, pair = place.top, place.bottom
    seen = _Curvature(
        pairs.values[0], pairs.bounds[0], pair.values[0], pair.bounds[0], pair.converged, pairs.converged
    )
    figures = {"eigenvalue": seen.value, "bound": seen.bound, "converged": seen.converged}
    vanishes = place.vanishes(seen.positive)
    slope = None if vanishes else _slope(place, seen)
    if slope is not None:
        yield slope
        if seen.negative:
            text = _BENT(value=seen.known)
            yield Fact(name="negative-curvature", text=text, value=pair[0], figures=figures)
        return
    if seen.negative:
        text, more = _downwards(place, seen)
    else:
        text, more = _upwards(place, seen, vanishes), {}
    yield Fact(name="state", text=text, value=pair[0], decides=True, figures=figures | more)


def _gain(place: Place, top: float) -> float:
    """‖∇L‖²/(2λ)."""
    square = float(place.gradient.square().sum())
    return square / (2 * top) if top > 0 else math.inf if square else 0.0


def _slope(place: Place, seen: _Curvature) -> Fact | None:
    """What one step gains, where that is a noticeable share of the loss."""
    gain, floor = _gain(place, seen.positive), place.objective.floor
    above = abs(place.value - (floor or 0.0))
    share = gain / above if above > 0 else math.inf if gain else 0.0
    if share <= _NOTICEABLE:
        return None
    whole = _VALUE() if floor is None else _ABOVE()
    if gain == math.inf and not seen.top_converged:
        text = _SLOPING()
    elif gain == math.inf:
        text = _DOWNHILL() if seen.negative else _STRAIGHT()
    elif not above:
        text = _FROM_ZERO(gain=gain)
    elif share < 1:
        text = _SLOPE(gain=gain, share=percent(share), whole=whole)
    else:
        text = _STEEP(gain=gain, whole=whole)
    return Fact(name="state", text=text, value=Estimate(share), decides=True, figures={"gain": gain})


def _downwards(place: Place, seen: _Curvature) -> tuple[Message, dict[str, Any]]:
    """A saddle or a maximum, and how far the loss falls."""
    gain, far, last = _escape(place)
    falls = (_GOES_ON if last else _FALLS)(gain=gain, far=far) if gain > 0 else _FALLS_NEAR(near=far)
    text = _SADDLE(value=seen.known, falls=falls)
    if seen.top_converged and seen.top + seen.top_bound < 0:
        top = with_error(seen.top, seen.top_bound)
        text = _MAXIMUM(value=seen.known, top=top, falls=falls)
    elif seen.top_converged and seen.top <= seen.top_bound:
        text = _CREST(value=seen.known, falls=falls)
    return text, {"escape": gain, "distance": far}


def _upwards(place: Place, seen: _Curvature, vanishes: bool) -> Message:
    """A minimum, nothing at all, or not known."""
    top, value, bound = seen.positive, seen.value, seen.bound
    if not (seen.converged and (top > 0 or seen.top_converged)):
        return _OPEN(value=value, bound=bound)
    if max(top, abs(value)) <= bound:
        return _FLAT()
    gains = _GAINS_NOTHING() if vanishes else _GAINS(gain=_gain(place, top))
    least = max(_NEGATIVE * top, bound - value)  # a Ritz value bounds the smallest one from above only
    return _MINIMUM(gains=gains, least=least, top=top)


def _escape(place: Place) -> tuple[float, float, bool]:
    """By how much the loss falls along the direction of negative curvature, at best of a few lengths; at which; whether
    that is the last of them."""
    direction = place.bottom.vectors[:, 0]
    size = float(place.objective.theta.double().norm()) or 1.0
    values = [(place.along(direction, sign * step * size), step) for step in _STEPS for sign in (1, -1)]
    lowest, step = min((pair for pair in values if not math.isnan(pair[0])), default=(place.value, _STEPS[0]))
    gain = place.value - lowest
    if not gain > 0:
        return 0.0, _STEPS[0] * size, False
    return gain, step * size, step == _STEPS[-1]


LOOK = Look(
    name="state",
    title=Text(en="slope, saddle or minimum", zh="斜坡、鞍点或极小点"),
    rank=3,
    cost=12,
    run=_run,
)
