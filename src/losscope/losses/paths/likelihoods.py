"""Paths of log-likelihoods: how far an answer is more likely than under the reference, or than another answer."""

from collections.abc import Iterator

from torch import Tensor

from losscope.losses.paths.path import MARGIN, Case, Path, filled, kinds_of, numbers, shape_of
from losscope.losses.spec import LossSpec

_LEVEL = -5.0  # ln of the probability of an answer under the reference


def paths(spec: LossSpec) -> Iterator[Path]:
    """Two answers that are compared, answers with a label, or actions with an advantage."""
    kinds = kinds_of(spec)
    if kinds[0] != "log-likelihoods":
        return
    if kinds[:2] == ["log-likelihoods"] * 2:
        yield _preferred(kinds)
    elif "binary-label" in kinds:
        yield from _labelled(kinds)
    elif "advantages" in kinds:
        yield from [_group(spec)] if spec.batch_coupled else _actions(kinds)


def _preferred(kinds: list[str]) -> Path:
    """With a reference whole answers are judged, whose log-likelihoods differ by tens; without one, means per token."""
    reach = 20.0 if len(kinds) > 2 else MARGIN
    level = filled(-reach, 1)
    rest = [level] * (len(kinds) - 2)
    against = " over the reference's" if rest else ""
    return Path(
        label=f"margin in log-likelihood of the chosen answer{against}",
        low=-reach,
        high=reach,
        at=lambda m: (level + m.reshape(1) / 2, level - m.reshape(1) / 2, *rest),
        uninformed=0.0,
    )


def _labelled(kinds: list[str]) -> Iterator[Path]:
    level = filled(_LEVEL, 1)
    for name, wanted in (("desirable answer", 1.0), ("undesirable answer", 0.0)):
        rest = [filled(wanted, 1) if kind == "binary-label" else level for kind in kinds[1:]]
        yield Path(
            name=name,
            label="ln of the answer's probability over the reference's",
            low=-4.0,
            high=4.0,
            at=lambda r, rest=rest: (level + r.reshape(1), *rest),
            uninformed=0.0,
            perfect=4.0 if wanted else -4.0,
        )


def _actions(kinds: list[str]) -> Iterator[Path]:
    level = filled(_LEVEL, 1)
    for name, advantage in (("advantage 1", 1.0), ("advantage −1", -1.0)):
        rest = [filled(advantage, 1) if kind == "advantages" else level for kind in kinds[1:]]
        yield Path(
            name=name,
            label="ln of the action's probability over the old one",
            low=-1.0,
            high=1.0,
            at=lambda r, rest=rest: (level + r.reshape(1), *rest),
        )


def _group(spec: LossSpec) -> Path:
    """Two answers of one group: the better one gains what the other loses."""
    sign = numbers(1.0, -1.0)
    given: dict[str, Tensor] = {"advantages": sign}

    def at(r: Tensor) -> Case:
        case = []
        for place, argument in enumerate(spec.arguments):
            shape = shape_of(spec, argument, rows=2)
            value = given.get(argument.kind)
            if value is None:
                value = filled(1.0 if argument.kind == "binary" else _LEVEL, *shape)
            if place == 0:
                value = value + r * sign.reshape(2, *[1] * (len(shape) - 1))
            case.append(value)
        return tuple(case)

    label = "ln of the better answer's probability over the old one (the worse answer's is minus that)"
    return Path(label=label, low=-1.0, high=1.0, at=at)
