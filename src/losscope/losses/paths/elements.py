"""Paths of single numbers: the residual, the score or the probability of one element, all else at rest.

The first argument is moved; other predictions of the same kind keep their distance to it, so that an ensemble or an
interval moves as a whole. What a loss takes besides stays at a neutral value: scales at 1 and ½, weights at 1.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.losses.arguments import Argument
from losscope.losses.paths.path import (
    ALMOST,
    DOUBLE,
    MARGIN,
    Case,
    Path,
    claims,
    filled,
    numbers,
    shape_of,
    signed,
)
from losscope.losses.spec import LossSpec

_MOVED = ("binary-logits", "probabilities", "values", "positive-values", "scores", "log-scale")
_TARGETS: dict[str, Sequence[float]] = {
    "binary": (1.0, 0.0), "binary-label": (1.0, 0.0), "sign": (1.0, -1.0), "sign-label": (1.0, -1.0),
    "unit": (1.0, 0.0), "real": (0.0,), "positive": (1.0,), "counts": (3.0,),
}  # fmt: skip
_NEUTRAL = {
    "values": 0.0, "scores": 0.0, "log-scale": 0.0, "logits": 0.0, "variance": 1.0, "given-variance": 1.0,
    "weights": 1.0, "advantages": 1.0, "times": 1.0, "events": 1.0, "real": 0.0,
}  # fmt: skip
_SCALES = {
    "log-scale": ("scale 1", 0.0, "scale ½", -0.6931471805599453),
    "variance": ("variance 1", 1.0, "variance ¼", 0.25),
}


def paths(spec: LossSpec) -> Iterator[Path]:
    """One path for each value of the target, or for each of two scales, where the loss is given one."""
    arguments = spec.arguments
    moved = next((a.kind for a in arguments if a.kind in _MOVED and a.role == "prediction"), None)
    if moved is None or any(
        a.kind not in {*_MOVED, *_TARGETS, *_NEUTRAL, "ordinal-index", "thresholds"} for a in arguments
    ):
        return
    target = next((a for a in arguments if a.role == "target"), None)
    if target is None:
        yield _alone(spec, moved)
    elif target.kind == "ordinal-index":
        yield from _ordered()
    elif target.kind in _TARGETS:
        yield from _compared(spec, moved, target.kind)
    elif target.kind == "times":
        label = f"{arguments[0].name} of a subject with an event at time 1"
        yield Path(label=label, low=-4.0, high=4.0, at=_Mover(spec, moved, {}))


def _compared(spec: LossSpec, moved: str, target: str) -> Iterator[Path]:
    low, high, label = _axis(spec, moved, target)
    scale = next((a for a in spec.arguments[1:] if a.kind in _SCALES and a.role == "prediction"), None)
    if scale is not None and target == "real":
        name, value, other, small = _SCALES[scale.kind]
        for title, given in ((name, value), (other, small)):
            at = _Mover(spec, moved, {target: 0.0, scale.kind: given})
            yield Path(name=title, label=label, low=low, high=high, at=at, perfect=0.0)
        return
    base = 1.0 if target == "real" and _alone_with(spec) else 0.0  # at 0 a relative error says nothing
    for name, value in signed(_TARGETS[target]):
        uninformed, perfect = _aims(spec, moved, target, value, low, high)
        yield Path(
            name=name,
            label=label,
            low=low,
            high=high,
            at=_Mover(spec, moved, {target: value + base}, base),
            uninformed=uninformed,
            perfect=perfect,
        )


def _axis(spec: LossSpec, moved: str, target: str) -> tuple[float, float, str]:
    if moved == "probabilities":
        return ALMOST, 1 - ALMOST, "probability"
    if moved == "binary-logits":
        return -MARGIN, MARGIN, "score (logit)"
    if target == "sign-label":
        return -4.0, 4.0, "score"
    if moved == "positive-values":
        return 0.1, 5.0, "prediction (target 1)"
    if target == "real":
        several = sum(a.kind == moved for a in spec.arguments) > 1 or _is_spread(spec, moved)
        if several:
            return -4.0, 4.0, "middle of the predictions − target"
        return -4.0, 4.0, "residual: prediction − target" + (" (target 1)" if _alone_with(spec) else "")
    return -4.0, 4.0, "prediction" + {"counts": " (target 3)", "positive": " (target 1)"}.get(target, "")


def _aims(
    spec: LossSpec, moved: str, target: str, value: float, low: float, high: float
) -> tuple[float | None, float | None]:
    """Where the prediction knows nothing and where it is right; ``None`` where the kinds do not tell."""
    if target == "real":
        return None, 0.0
    if moved == "positive-values":
        return None, value
    if moved == "probabilities":
        return 0.5, high if value > 0.5 else low
    if moved == "binary-logits" or (target == "sign-label" and spec.input_space == "scores"):
        return 0.0, high if value > 0.5 else low
    return None, None


def _alone_with(spec: LossSpec) -> bool:
    """Whether prediction and target are all that the loss is given."""
    return [a.kind for a in spec.arguments] == ["values", "real"] and not any(a.axes for a in spec.arguments)


class _Mover:
    """Gives the case for one number."""

    def __init__(self, spec: LossSpec, moved: str, given: dict[str, float], base: float = 0.0) -> None:
        several = [a for a in spec.arguments if a.kind == moved and a.role == "prediction"]
        if moved in ("log-scale", "scores") or len({a.axes for a in several}) > 1:
            several = several[:1]
        offsets = torch.linspace(-1.0, 1.0, len(several)).tolist() if len(several) > 1 else [0.0]
        self.moved = {a.name: base + offset for a, offset in zip(several, offsets, strict=True)}
        self.values = [self._rest(spec, a, given) for a in spec.arguments]
        self.names = [a.name for a in spec.arguments]

    def _rest(self, spec: LossSpec, argument: Argument, given: dict[str, float]) -> Tensor:
        shape = _one(spec, argument)
        if argument.name in self.moved:
            return _spread(argument, shape) + self.moved[argument.name]
        return filled(given.get(argument.kind, _NEUTRAL.get(argument.kind, 0.0)), *shape)

    def __call__(self, x: Tensor) -> Case:
        pairs = zip(self.names, self.values, strict=True)
        return tuple(value + x if name in self.moved else value for name, value in pairs)


def _one(spec: LossSpec, argument: Argument) -> tuple[int, ...]:
    """The shape for a single element: only axes of members, which a loss averages over, keep their length."""
    axes = (argument.axes or argument.of.axes).split()
    return tuple(spec.lengths["M"] if axis == "M" else 1 for axis in axes)


def _spread(argument: Argument, shape: tuple[int, ...]) -> Tensor:
    """Members of an ensemble lie evenly between −1 and 1; anything else at 0."""
    axes = (argument.axes or argument.of.axes).split()
    if "M" not in axes:
        return filled(0.0, *shape)
    place = axes.index("M")
    members = torch.linspace(-1.0, 1.0, shape[place], dtype=DOUBLE)
    return members.reshape([-1 if i == place else 1 for i in range(len(shape))]).expand(shape)


def _is_spread(spec: LossSpec, moved: str) -> bool:
    return any(a.kind == moved and "M" in (a.axes or a.of.axes).split() for a in spec.arguments)


def _alone(spec: LossSpec, moved: str) -> Path:
    """No target: all elements alike, or a step between two halves where only differences count."""
    first, *others = spec.arguments
    rest = [filled(_NEUTRAL[a.kind], *shape_of(spec, a)) for a in others]
    shape = shape_of(spec, first)
    pattern = filled(1.0, *shape)
    what = f"every element of “{first.name}”"
    if moved == "scores":
        what = "score of every sample"
    elif claims(spec, "shift-invariant"):
        pattern[..., : shape[-1] // 2] = 0.0
        what = "height of a step between two halves"
    also = "".join(f"; “{a.name}” is {_NEUTRAL[a.kind]:g}" for a in others)
    return Path(label=what + also, low=-4.0, high=4.0, at=lambda x: (x * pattern, *rest))


def _ordered() -> Iterator[Path]:
    """A score among fixed thresholds: of the lowest class, and of the one in the middle."""
    cuts = numbers(-3.0, -1.0, 1.0, 3.0)
    for name, right in (("lowest class", 0), ("middle class", 2)):
        index = torch.tensor([right])
        yield Path(
            name=name,
            label="score (thresholds at −3, −1, 1, 3)",
            low=-MARGIN,
            high=MARGIN,
            at=lambda x, index=index: (x.reshape(1), index, cuts),
            perfect=0.0 if right else -MARGIN,
        )
