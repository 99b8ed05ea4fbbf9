"""Slope, saddle or minimum: what the next step could still gain, and whether a direction leads down on both sides.

One gradient step of length 1/λ, with the largest eigenvalue λ, lowers the loss by about ‖∇L‖²/(2λ). Where that is a
noticeable share of the loss above its floor, the point is on a slope. Else a negative eigenvalue beyond its error bound
makes it a saddle: the loss falls along that eigenvector to both sides, which is tried. Else it is a minimum, as far as
the smallest eigenvalue is known; eigenvalues within their bounds of 0 are flat directions, which every network has.
"""

import math
from collections.abc import Iterator

from losscope.core.estimate import Estimate
from losscope.core.text import Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_NOTICEABLE = 1e-3
_NEGATIVE = 1e-3  # of the largest curvature: below that a direction is flat at any scale that matters
_STEPS = (0.01, 0.03, 0.1, 0.3, 1.0)

_SLOPE = Text(
    en="on a slope: one stable gradient step lowers the loss by about {gain:.2g}, {share} of {whole}",
    zh="处于斜坡：一次稳定的梯度步约使损失下降 {gain:.2g}，占{whole}的 {share}",
)
_STEEP = Text(
    en="on a steep slope: to second order one gradient step of length 1/λ would lower the loss by {gain:.2g}, more "
    "than {whole}",
    zh="处于陡坡：按二阶近似，一次长度为 1/λ 的梯度步会使损失下降 {gain:.2g}，超过{whole}",
)
_STRAIGHT = Text(
    en="on a slope without curvature: the loss falls as far as one goes",
    zh="处于没有曲率的斜坡：走多远，损失就下降多少",
)
_ABOVE = Text(en="what is above the floor", zh="下限以上部分")
_VALUE = Text(en="its value", zh="其值")
_SADDLE = Text(
    en="a saddle: curvature {value:.4g} ± {bound:.1g} in one direction, along which the loss falls by {gain:.3g}",
    zh="鞍点：某一方向上的曲率为 {value:.4g} ± {bound:.1g}，沿此方向损失下降 {gain:.3g}",
)
_MINIMUM = Text(
    en="a minimum as far as can be told: no direction was seen to curve down by more than {least:.1g} (the largest "
    "curvature is {top:.3g}), and one step gains {gain:.1g}",
    zh="就目前所见为极小点：没有发现向下弯曲超过 {least:.1g} 的方向（最大曲率为 {top:.3g}），一步仅改善 {gain:.1g}",
)
_OPEN = Text(
    en="no slope to speak of; the smallest curvature is not known yet ({value:.3g} ± {bound:.1g}): more seconds would "
    "tell",
    zh="几乎没有斜率；最小曲率尚不清楚（{value:.3g} ± {bound:.1g}）：需要更多时间",
)
_BENT = Text(
    en="a direction of negative curvature as well: {value:.4g} ± {bound:.1g}",
    zh="另有负曲率方向：{value:.4g} ± {bound:.1g}",
)


def _run(place: Place) -> Iterator[Fact]:
    top = max(place.top.values[0], 0.0)
    square = float(place.gradient.square().sum())
    gain = square / (2 * top) if top > 0 else math.inf if square else 0.0
    above = abs(place.value - (place.objective.floor or 0.0))
    share = gain / above if above > 0 else math.inf if gain else 0.0
    sloping = share > _NOTICEABLE
    if sloping:
        known = {"gain": gain, "whole": _VALUE() if place.objective.floor is None else _ABOVE()}
        if gain == math.inf:
            text = _STRAIGHT()
        else:
            text = _SLOPE(share=percent(share), **known) if share < 1 else _STEEP(**known)
        yield Fact(name="state", text=text, value=Estimate(share), decides=True, figures={"gain": gain})
    pair = place.bottom
    value, bound = pair.values[0], pair.bounds[0]
    figures = {"eigenvalue": value, "bound": bound, "converged": pair.converged}
    negative = value + bound < -_NEGATIVE * top
    known = {"value": value, "bound": bound}
    if sloping:
        if negative:
            yield Fact(name="negative-curvature", text=_BENT(**known), value=pair[0], figures=figures)
    elif negative:
        escape = _escape(place)
        text = _SADDLE(gain=escape, **known)
        yield Fact(name="state", text=text, value=pair[0], decides=True, figures=figures | {"escape": escape})
    elif pair.converged and (bound <= max(_NEGATIVE * top, abs(value)) or top == 0):
        least = max(_NEGATIVE * top, bound, -value)  # a Ritz value bounds the smallest one from above only
        text = _MINIMUM(gain=gain, least=least, top=top)
        yield Fact(name="state", text=text, value=pair[0], decides=True, figures=figures)
    else:
        yield Fact(name="state", text=_OPEN(**known), value=pair[0], decides=True, figures=figures)


def _escape(place: Place) -> float:
    """By how much the loss falls along the direction of negative curvature, at best of a few lengths."""
    direction = place.bottom.vectors[:, 0]
    size = float(place.objective.theta.double().norm()) or 1.0
    values = [place.along(direction, sign * step * size) for step in _STEPS for sign in (1, -1)]
    return max(0.0, place.value - min(v for v in values if not math.isnan(v)))


LOOK = Look(
    name="state",
    title=Text(en="slope, saddle or minimum", zh="斜坡、鞍点或极小点"),
    rank=3,
    cost=12,
    run=_run,
)
