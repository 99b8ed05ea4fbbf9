"""Flatness that does not depend on the scale of the weights: relative flatness, and the worst case in relative terms.

Relative flatness of the last layer (Petzka et al., 2021, arXiv:2001.00939) is the trace of the Hessian under random
mixtures of the features that it reads. The worst case is the largest rise that was found if each weight moves by at
most a hundredth of itself: adaptive sharpness in the maximum norm (Kwon et al., 2021, arXiv:2102.11600, definition for
any p; Andriushchenko et al., 2023). The corners of that box are the random moves of the look at flatness, so that the
worst is never below their mean; in the 2-norm of the same radius all weights together would move by what one does
there. Whether such numbers predict how well a network generalises is open: across training settings they often do not
(Andriushchenko et al., 2023, arXiv:2302.07011). Use them to compare points on one objective.
"""

import math
from collections.abc import Iterator

from losscope.core.text import Text
from losscope.estimators.flatness.adaptive_sharpness import adaptive_sharpness
from losscope.estimators.flatness.relative_flatness import relative_flatness
from losscope.examination.look import Fact, Look
from losscope.examination.numbers import with_error
from losscope.examination.place import Place

_RADIUS = 0.01
_SHARE = 0.3  # of the time that is left, for each

_LAST = Text(
    en="relative flatness of the last layer {value} (small is flat); no measure of flatness is "
    "known to predict generalisation across training settings",
    zh="末层相对平坦度 {value}（越小越平坦）；尚无平坦度指标能在不同训练设置之间预测泛化",
)
_WORST = Text(
    en="at worst, each weight off by at most 1 % of itself raises the loss by {value:.3g} or more",
    zh="每个权重至多变动其自身的 1% 时，最坏情形使损失至少上升 {value:.3g}",
)


def _run(place: Place) -> Iterator[Fact]:
    worst = adaptive_sharpness(
        place.objective,
        _RADIUS,
        norm=math.inf,
        starts=3,
        steps=10,
        rtol=0.01,
        seconds=_SHARE * place.left,
        seed=place.seed,
    )
    figures = {
        "radius": _RADIUS,
        "norm": "maximum",
        "starts": list(worst.starts),
        "converged": worst.converged,
    }
    yield Fact(
        name="adaptive-sharpness", text=_WORST(value=worst.rise.value), value=worst.rise, figures=figures
    )
    if any(p.dim() >= 2 for p in place.objective.parameters):
        found = relative_flatness(
            place.objective, rtol=0.1, seconds=_SHARE * place.left, products=100, seed=place.seed
        )
        yield Fact(
            name="layer-flatness", text=_LAST(value=with_error(found.value, found.stderr)), value=found
        )


LOOK = Look(
    name="layer-flatness",
    title=Text(en="flatness in relative terms", zh="相对平坦度"),
    rank=6,
    cost=12,
    run=_run,
)
