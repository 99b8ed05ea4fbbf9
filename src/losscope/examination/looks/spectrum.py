"""The distribution of all curvatures: how many directions curve downwards, how far the top stands out of the bulk.

By stochastic Lanczos quadrature on a few random vectors (Ubaru, Chen and Saad, 2017, doi:10.1137/16M1104974; for
networks Ghorbani et al., 2019, arXiv:1901.10159). Networks have a bulk at 0 and a few eigenvalues far outside of it,
about as many as classes. How many probes are made follows from the time that is left; the error bars from their spread.
"""

from collections.abc import Iterator

import torch

from losscope.core.estimate import Estimate
from losscope.core.text import Text, percent
from losscope.estimators.spectrum.spectral_density import SpectralDensity, spectral_density
from losscope.examination.look import Fact, Look
from losscope.examination.place import Place

_STEPS = 30
_PROBES = 10
_ONE_BY_ONE = 1.0  # byte: whole rules of some probes tell more than short ones of all
_SHARE = 0.6  # of the time that is left
_POINTS = 161
_WIDTH = 1 / 80  # of the range, of the bells that smooth the density

_TEXT = Text(
    en="mean curvature {mean:.3g} ± {stderr:.1g}, {outside:.3g} times less than the largest; {negative} of the "
    "directions curve downwards",
    zh="平均曲率 {mean:.3g} ± {stderr:.1g}，为最大曲率的 1/{outside:.3g}；{negative} 的方向向下弯曲",
)


def _run(place: Place) -> Iterator[Fact]:
    top = place.top
    found = place.stretch(
        "spectrum",
        lambda: spectral_density.search(
            place.hessian, probes=_PROBES, steps=_STEPS, memory=_ONE_BY_ONE, seed=place.seed
        ),
        _SHARE,
    )
    mean, negative = found.moments[1], found.negative
    yield Fact(
        name="spectrum",
        text=_TEXT(
            mean=mean.value,
            stderr=mean.stderr,
            outside=top.values[0] / abs(mean.value) if mean.value else float("inf"),
            negative=percent(negative.value),
        ),
        value=Estimate(mean.value, mean.stderr, found.products, found.seconds),
        figures={"negative share": negative.value, "negative stderr": negative.stderr, **_curve(found)},
    )


def _curve(found: SpectralDensity) -> dict[str, list[float]]:
    """The smoothed density on a grid, with its standard errors."""
    low, high = float(found.nodes.min()), float(found.nodes.max())
    span = (high - low) or max(abs(high), 1.0)
    grid = torch.linspace(low - 0.05 * span, high + 0.05 * span, _POINTS, dtype=torch.float64)
    curve = found.density(grid, _WIDTH * span)
    return {"at": grid.tolist(), "density": curve.values.tolist(), "density stderr": curve.stderrs.tolist()}


LOOK = Look(name="spectrum", title=Text(en="spectrum", zh="曲率谱"), rank=6, cost=90, run=_run)
