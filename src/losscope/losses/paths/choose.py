"""Which path shows a loss best: decided by the kinds of its arguments and what its contract claims."""

from collections.abc import Iterator

from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.paths import (
    boxes,
    classes,
    elements,
    embeddings,
    likelihoods,
    masks,
    rankings,
    samples,
    sequences,
)
from losscope.losses.paths.path import Path
from losscope.losses.spec import LossSpec

_RULES = (boxes, embeddings, masks, sequences, likelihoods, rankings, classes, samples, elements)


def paths(spec: LossSpec) -> list[Path]:
    """The paths of the first file that has any for arguments of these kinds; else the ordinary one, scaled."""
    for rule in _RULES:
        found = list(rule.paths(spec))
        if found:
            return found
    return [*_scaled(spec)]


def _scaled(spec: LossSpec) -> Iterator[Path]:
    """Ordinary inputs, with all predictions times one number."""
    case = draw_case(spec.arguments, 0, spec.lengths)
    moved = [i for i, a in enumerate(spec.arguments) if a.role == "prediction"]
    kinds = [spec.arguments[i].of for i in moved]
    bounded = any(kind.low > -float("inf") or kind.high < float("inf") for kind in kinds)

    def at(scale: Tensor) -> tuple[Tensor, ...]:
        return tuple(value * scale if i in moved else value for i, value in enumerate(case))

    low, high = (0.1, 1.0) if bounded else (-3.0, 3.0)
    yield Path(label="all predictions of an ordinary batch, times this number", low=low, high=high, at=at)
