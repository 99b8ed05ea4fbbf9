"""The distribution of all curvatures: how many directions curve downwards, how far the top stands out of the bulk.

By stochastic Lanczos quadrature on a few random vectors (Ubaru, Chen and Saad, 2017, doi:10.1137/16M1104974; for
networks Ghorbani et al., 2019, arXiv:1901.10159). Networks have a bulk at 0 and a few eigenvalues far outside of it,
about as many as classes. How many probes are made follows from the time that is left; the error bars from their spread
and the bounds of the quadrature. A small matrix (up to 300 parameters) is made whole, and its eigenvalues are exact.
Curvatures within a thousandth of the largest in size (a hundredth, where that is not resolved; rounding, if that is
more) count as flat: rounding gives the zeros, which every network has many of, either sign. What has no error bar yet
(one probe has none) is not said.
"""

import math
from collections.abc import Iterator

import torch

from losscope.core.estimate import Estimate
from losscope.core.text import Text, percent
from losscope.estimators.spectrum.spectral_density import SpectralDensity, spectral_density
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import percent_with_error, with_error
from losscope.examination.place import Place

_STEPS = 30
_PROBES = 10
_ONE_BY_ONE = 1.0  # byte: whole rules of some probes tell more than short ones of all
_SHARE = 0.6  # of the time that is left
_POINTS = 161
_WIDTH = 1 / 80  # of the range, of the bells that smooth the density

_FLAT = (1e-3, 1e-2)  # of the largest curvature in size: what is nearer to 0 counts as flat
_KNOWN = 0.1  # a share ± this or more says next to nothing

_MEAN = Text(en="mean curvature {mean}{less}", zh="平均曲率 {mean}{less}")
_LESS = Text(en=", {outside:.3g} times less than the largest", zh="，为最大曲率的 1/{outside:.3g}")
_NO_LESS = Text(en="", zh="")
_DOWN = Text(
    en="{share} of the directions curve downwards by more than {least:.1g}, {part} of the largest in size",
    zh="{share} 的方向向下弯曲超过 {least:.1g}（绝对值最大曲率的 {part}）",
)
_NONE_DOWN = Text(
    en="no direction curves downwards by more than {least:.1g}, {part} of the largest in size",
    zh="没有向下弯曲超过 {least:.1g}（绝对值最大曲率的 {part}）的方向",
)
_ZERO = Text(en="all curvatures are 0", zh="所有曲率均为 0")


def _run(place: Place) -> Iterator[Fact]:
    top = place.top.values[0]
    found = place.stretch(
        "spectrum",
        lambda: spectral_density.search(
            place.hessian, probes=_PROBES, steps=_STEPS, memory=_ONE_BY_ONE, seed=place.seed
        ),
        _SHARE,
    )
    mean, largest = found.moments[1], max(abs(top), float(found.nodes.abs().max()))
    if math.isfinite(mean.stderr):
        less = _NO_LESS()
        if top > 2 * abs(mean.value) > 4 * mean.stderr:
            less = _LESS(outside=top / abs(mean.value))
        text = _MEAN(mean=with_error(mean.value, mean.stderr, 3), less=less)
        yield Fact(
            name="spectrum",
            text=text if largest else _ZERO(),
            value=Estimate(mean.value, mean.stderr, found.products, found.seconds),
            figures=_curve(found),
        )
    if not largest:
        return
    for flat in _FLAT:
        least = max(flat * largest, found.rule.rounding)
        share = found.below(-least)
        if share.stderr < _KNOWN:
            yield _downwards(share, least, largest)
            return


def _downwards(share: Estimate, least: float, largest: float) -> Fact:
    known = {"least": least, "part": percent(least / largest)}
    many = percent_with_error(share.value, share.stderr)
    none = share.value == 0 == share.stderr
    text = _NONE_DOWN(**known) if none else _DOWN(share=many, **known)
    return Fact(name="downward-directions", text=text, value=share, figures={"tolerance": least})


def _curve(found: SpectralDensity) -> dict[str, list[float]]:
    """The smoothed density on a grid, with its standard errors."""
    low, high = float(found.nodes.min()), float(found.nodes.max())
    span = (high - low) or max(abs(high), 1.0)
    grid = torch.linspace(low - 0.05 * span, high + 0.05 * span, _POINTS, dtype=torch.float64)
    curve = found.density(grid, _WIDTH * span)
    return {"at": grid.tolist(), "density": curve.values.tolist(), "density stderr": curve.stderrs.tolist()}


LOOK = Look(name="spectrum", title=Text(en="spectrum", zh="曲率谱"), rank=6, cost=90, run=_run)
