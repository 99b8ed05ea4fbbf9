"""The largest curvature, which directions it belongs to, and the learning rates that it permits.

Along an eigenvector with eigenvalue λ, gradient descent is stable for rates below 2/λ, with heavy-ball momentum β below
(2 + 2β)/λ. Training at a constant rate tends to the edge of that (Cohen et al., 2021, arXiv:2103.00065), so that λ near
2/η is no alarm. λ changes with the scale of the parameters: it does not say how well a network generalises (Dinh et
al., 2017, arXiv:1703.04933).
"""

from collections.abc import Iterator

from losscope.core.text import Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import with_error
from losscope.examination.place import Place

_NAMED = 12  # parameters that are named, of each direction

_TOP = Text(
    en="largest curvature {value} (then {others}), {share} of its direction in {where}",
    zh="最大曲率 {value}（其后 {others}），其方向的 {share} 在 {where}",
)
_STABLE = Text(
    en="gradient descent is stable below a learning rate of {plain:.4g}, with momentum 0.9 below {momentum:.4g}{of}; "
    "Adam's steps are scaled otherwise",
    zh="梯度下降在学习率低于 {plain:.4g} 时稳定，动量 0.9 时低于 {momentum:.4g}{of}；Adam 的步长另有缩放",
)
_SUMMED = Text(
    en=" (of the loss as it sums, {scale:.4g} times its mean)",
    zh="（按求和的损失，即其均值的 {scale:.4g} 倍）",
)
_MEAN = Text(en="", zh="")
_FLAT = Text(
    en="no direction curves upwards beyond the error: largest eigenvalue {value}",
    zh="没有超出误差的向上弯曲方向：最大特征值 {value}",
)
_OPEN = Text(
    en="the largest curvature is not known yet: the search was cut short, more seconds would tell",
    zh="最大曲率尚不清楚：搜索被中断，需要更多时间",
)
_AT_LEAST = Text(
    en="largest curvature at least {value:.4g}: the search was cut short, more seconds would tell",
    zh="最大曲率至少为 {value:.4g}：搜索被中断，需要更多时间",
)
_AT_MOST = Text(
    en="gradient descent is unstable above a learning rate of {plain:.4g}, with momentum 0.9 above {momentum:.4g}{of}, "
    "perhaps below that already",
    zh="梯度下降在学习率高于 {plain:.4g} 时不稳定，动量 0.9 时高于 {momentum:.4g}{of}，更低时也可能不稳定",
)


def _run(place: Place) -> Iterator[Fact]:
    pairs = place.top
    value, bound = pairs.values[0], pairs.bounds[0]
    shares = place.by_parameter(pairs.vectors[:, 0])
    name, share = shares[0]
    others = ", ".join(f"{v:.4g}" for v in pairs.values[1:]) or "—"
    figures = {
        "eigenvalues": list(pairs.values),
        "bounds": list(pairs.bounds),
        "converged": pairs.converged,
        "by parameter": dict(shares[:5]),
        "directions": [dict(place.by_parameter(pairs.vectors[:, i])[:_NAMED]) for i in range(len(pairs))],
    }
    if value <= bound:
        text = _FLAT(value=with_error(value, bound)) if pairs.converged else _OPEN()
        yield Fact(name="sharpness", text=text, value=pairs[0], figures=figures)
        return
    known = with_error(value, bound, 5)
    text = _TOP(value=known, others=others, share=percent(share), where=name)
    if not pairs.converged:
        text = _AT_LEAST(value=value)
    yield Fact(name="sharpness", text=text, value=pairs[0], figures=figures)
    scale = max(place.objective.scale, 1.0)  # of the loss as it is stepped on; a penalty is not scaled
    rates = {"plain": 2 / value / scale, "momentum": 3.8 / value / scale}
    text = (_STABLE if pairs.converged else _AT_MOST)(
        of=_SUMMED(scale=scale) if scale > 1 else _MEAN(), **rates
    )
    figures = {**rates, "scale": scale}
    yield Fact(name="stable-rate", text=text, value=None, figures=figures)


LOOK = Look(name="sharpness", title=Text(en="largest curvature", zh="最大曲率"), rank=2, cost=8, run=_run)
