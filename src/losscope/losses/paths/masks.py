"""Paths of masks: the answer at every pixel from wrong over undecided to right, for a large and for a small region.

Where half of the image is the region, an overlap and a mean over pixels say the same; the small region shows how they
part.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.paths.path import (
    DOUBLE,
    Case,
    Path,
    by_margin,
    by_share,
    kinds_of,
    shape_of,
)
from losscope.losses.spec import LossSpec

_SIDE = 8
_PIXELS = "probability of the right answer at every pixel"


def paths(spec: LossSpec) -> Iterator[Path]:
    """By the kinds of prediction and target."""
    kinds = kinds_of(spec)
    if kinds in (["mask-probabilities", "mask"], ["mask-logits", "mask"]):
        yield from _regions(scores=kinds[0] == "mask-logits")
    elif kinds == ["class-mask-logits", "class-index-map"]:
        yield _classes(spec)
    elif kinds == ["mask-probabilities", "unit"]:
        yield _towards(spec)
    elif kinds == ["mask-probabilities", "real"] and spec.task == "segmentation":
        yield _distance()


def _regions(*, scores: bool) -> Iterator[Path]:
    for name, columns in (("region: 1/2 of the image", 4), ("region: 1/8", 1)):
        mask = torch.zeros(1, 1, _SIDE, _SIDE, dtype=DOUBLE)
        mask[..., :columns] = 1.0

        def by_score(x: Tensor, mask: Tensor = mask) -> Case:
            return x * (2 * mask - 1), mask

        def by_probability(x: Tensor, mask: Tensor = mask) -> Case:
            return mask * x + (1 - mask) * (1 - x), mask

        if scores:
            yield by_margin(name=name, label="score towards the right answer at every pixel", at=by_score)
        else:
            yield by_share(name=name, label=_PIXELS, at=by_probability)


def _classes(spec: LossSpec) -> Path:
    """Classes in stripes, so that none has the size of another where the image is not a multiple."""
    classes = spec.lengths["C"]
    _, *size = shape_of(spec, spec.arguments[1])
    index = (torch.arange(size[0] * size[1]) % classes).reshape(1, *size)
    right = torch.nn.functional.one_hot(index, classes).movedim(-1, 1).to(DOUBLE)
    label = f"margin of the right class (of {classes}) at every pixel"
    return by_margin(label=label, at=lambda m: (m * right, index))


def _towards(spec: LossSpec) -> Path:
    """From the negative of an image over grey to the image."""
    target = draw_case(spec.arguments, 0, spec.lengths)[1]
    return by_share(
        label="share of the target (0: its negative, ½: grey, 1: equal)",
        at=lambda x: (target * x + (1 - target) * (1 - x), target),
    )


def _distance() -> Path:
    """A real target of a segmentation is the signed distance to the boundary, below 0 inside of the region."""
    middle = torch.arange(_SIDE, dtype=DOUBLE) - (_SIDE - 1) / 2
    distance = (middle[:, None].square() + middle.square()).sqrt() - 2.4
    inside = (distance < 0).to(DOUBLE)[None, None]
    return by_share(
        label=f"{_PIXELS}; the region is a disc",
        at=lambda x: (inside * x + (1 - inside) * (1 - x), distance[None, None]),
    )
