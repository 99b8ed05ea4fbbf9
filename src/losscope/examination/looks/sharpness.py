"""The largest curvature, which directions it belongs to, and the learning rates that it permits.

Along an eigenvector with eigenvalue λ, gradient descent is stable for rates below 2/λ, with heavy-ball momentum β below
(2 + 2β)/λ. Training at a constant rate tends to the edge of that (Cohen et al., 2021, arXiv:2103.00065), so that λ near
2/η is no alarm. λ changes with the scale of the parameters: it does not say how well a network generalises (Dinh et
al., 2017, arXiv:1703.04933).
"""

from collections.abc import Iterator

from losscope.core.text import Text, percent
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_NAMED = 12  # parameters that are named, of each direction

_TOP = Text(
    en="largest curvature {value:.5g} ± {bound:.1g} (then {others}), {share} of its direction in {where}",
    zh="最大曲率 {value:.5g} ± {bound:.1g}（其后 {others}），其方向的 {share} 在 {where}",
)
_STABLE = Text(
    en="gradient descent is stable below a learning rate of {plain:.4g}, with momentum 0.9 below {momentum:.4g}; "
    "Adam's steps are scaled otherwise",
    zh="梯度下降在学习率低于 {plain:.4g} 时稳定，动量 0.9 时低于 {momentum:.4g}；Adam 的步长另有缩放",
)
_FLAT = Text(
    en="no direction curves upwards: largest eigenvalue {value:.4g}",
    zh="没有向上弯曲的方向：最大特征值 {value:.4g}",
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
        yield Fact(name="sharpness", text=_FLAT(value=value), value=pairs[0], figures=figures)
        return
    text = _TOP(value=value, bound=bound, others=others, share=percent(share), where=name)
    yield Fact(name="sharpness", text=text, value=pairs[0], figures=figures)
    rates = {"plain": 2 / value, "momentum": 3.8 / value}
    yield Fact(name="stable-rate", text=_STABLE(**rates), value=None, figures=rates)


LOOK = Look(name="sharpness", title=Text(en="largest curvature", zh="最大曲率"), rank=2, cost=8, run=_run)
