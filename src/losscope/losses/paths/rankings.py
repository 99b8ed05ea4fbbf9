"""Paths of scores that matter only against each other: pairs, lists, subjects at risk."""

from collections.abc import Iterator

from torch import Tensor

from losscope.losses.paths.path import MARGIN, Case, Path, filled, kinds_of, numbers, shape_of
from losscope.losses.spec import LossSpec


def paths(spec: LossSpec) -> Iterator[Path]:
    """By the kinds: two scores with or without a label of their order, graded relevance, times and events."""
    kinds = kinds_of(spec)
    if kinds[:2] == ["scores", "scores"] and kinds[2:] in ([], ["sign-label"]):
        yield from _pairs(spec, labelled=len(kinds) == 3)
    elif kinds == ["scores", "relevance"]:
        yield _list(spec)
    elif kinds == ["risk", "times", "events"]:
        yield _risk()


def _pairs(spec: LossSpec, *, labelled: bool) -> Iterator[Path]:
    one, other = (argument.name for argument in spec.arguments[:2])
    for sign in (1.0, -1.0) if labelled else (1.0,):
        label = (filled(sign, 1),) if labelled else ()
        name = f"{one} comes first" if sign > 0 else f"{other} comes first"
        game = spec.task == "game"  # its equilibrium is where the discriminator knows nothing
        yield Path(
            name=name if labelled else "",
            label=f"score of “{one}” minus score of “{other}”",
            low=-MARGIN,
            high=MARGIN,
            at=lambda m, label=label: (m.reshape(1) / 2, -m.reshape(1) / 2, *label),
            uninformed=0.0,
            perfect=None if game else sign * MARGIN,
        )


def _list(spec: LossSpec) -> Path:
    """Documents of different relevance, scored by a multiple of it."""
    _, documents = shape_of(spec, spec.arguments[0])
    relevance = numbers(*(float(k) for k in range(documents)))[None].clamp(max=3)
    centred = relevance - relevance.mean()
    label = "scores as a multiple of the relevance (below 0: reversed, 0: all equal)"
    return Path(
        label=label, low=-3.0, high=3.0, at=lambda x: (x * centred, relevance), uninformed=0.0, perfect=1.0
    )


def _risk() -> Path:
    """Six subjects with an event each; the risk falls or rises with their time."""
    times = numbers(1, 2, 3, 4, 5, 6)
    order, events = times.mean() - times, filled(1.0, 6)

    def at(x: Tensor) -> Case:
        return x * order, times, events

    label = "log hazard ratio of each subject to the next one to have an event"
    return Path(label=label, low=-4.0, high=4.0, at=at, uninformed=0.0, perfect=4.0)
