"""A loss along one line: value, slope and curvature against the number that people think in.

The number depends on what the loss takes: the margin of the right class, the residual, the probability of a 1, the
overlap of two boxes. Everything is evaluated with the loss's own function in float64; the slope comes from autograd,
the curvature from differentiating twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.spec import LossSpec, needed_options

_POINTS = 240  # even, so that no point lies on the kink in the middle


@dataclass(frozen=True, slots=True)
class Section:
    """``value``, ``slope`` and ``curvature`` [points] at ``x``; ``label`` names the axis, ``name`` the curve."""

    name: str
    label: str
    x: Tensor
    value: Tensor
    slope: Tensor
    curvature: Tensor | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A way through the inputs: ``at(x)`` gives the case for one number."""

    name: str
    label: str
    low: float
    high: float
    at: Callable[[Tensor], tuple[Tensor, ...]]


def sections(spec: LossSpec, points: int = _POINTS, **options: Any) -> list[Section]:
    """The curves that show a loss best, one or two of them; empty for a loss without a function."""
    if spec.function is None or not spec.arguments:
        return []
    chosen = {**needed_options(spec), **options}
    function = partial(spec.function, **chosen) if chosen else spec.function
    return [found for line in _lines(spec) if (found := _evaluate(function, line, points)) is not None]


def values_only(spec: LossSpec, points: int = 80) -> list[tuple[str, str, Tensor, Tensor]]:
    """Name, label, x and value of the same curves, at a fraction of the cost: for small pictures."""
    if spec.function is None or not spec.arguments:
        return []
    function = partial(spec.function, **needed_options(spec))
    curves = []
    for line in _lines(spec):
        x = torch.linspace(line.low, line.high, points, dtype=torch.float64)
        with torch.no_grad():
            values = torch.stack([function(*line.at(number)).sum() for number in x])
        curves.append((line.name, line.label, x, values))
    return curves


def _evaluate(function: Callable[..., Tensor], line: _Line, points: int) -> Section | None:
    x = torch.linspace(line.low, line.high, points, dtype=torch.float64)
    values, slopes, curvatures = [], [], []
    for number in x:
        point = number.clone().requires_grad_()
        value = function(*line.at(point))
        value = value if value.dim() == 0 else value.sum()
        if not value.requires_grad:
            return None
        (slope,) = torch.autograd.grad(value, point, create_graph=True, allow_unused=True)
        slope = torch.zeros_like(point) if slope is None else slope
        values.append(value.detach())
        slopes.append(slope.detach())
        curvatures.append(_again(slope, point))
    bent = (
        None if any(c is None for c in curvatures) else torch.stack([c for c in curvatures if c is not None])
    )
    return Section(line.name, line.label, x, torch.stack(values), torch.stack(slopes), bent)


def _again(slope: Tensor, point: Tensor) -> Tensor | None:
    if not slope.requires_grad:
        return torch.zeros_like(point).detach()
    try:
        (curvature,) = torch.autograd.grad(slope, point, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return None
    return torch.zeros_like(point).detach() if curvature is None else curvature.detach()


def _lines(spec: LossSpec) -> Iterator[_Line]:
    """Lines by the kinds of the first two arguments; any line through the predictions where there is no better one."""
    kinds = [argument.kind for argument in spec.arguments]
    sizes = spec.lengths
    double = torch.float64
    if any(argument.axes for argument in spec.arguments):
        yield _through(spec)  # other shapes than the kinds' own
    elif kinds == ["logits", "class-index"]:
        classes = sizes["C"]
        y = torch.zeros(1, dtype=torch.long)
        yield _Line("", f"margin of the right class (of {classes})", -6, 6, lambda m: (_first(m, classes), y))
    elif len(kinds) == 2 and kinds[0] in ("binary-logits", "probabilities", "values", "positive-values"):
        targets = {
            "binary": (1.0, 0.0), "binary-label": (1.0, 0.0), "sign": (1.0, -1.0),
            "unit": (1.0, 0.0), "real": (0.0,), "positive": (1.0,), "counts": (3.0,),
        }.get(kinds[1])  # fmt: skip
        if targets is not None:
            low, high, label = _axis(kinds)
            for t in targets:
                fixed = torch.full((1, 1), t, dtype=double)
                name = f"target {t:g}" if len(targets) > 1 else ""
                yield _Line(name, label, low, high, lambda x, fixed=fixed: (x.reshape(1, 1), fixed))
            return
        yield _through(spec)
    elif kinds == ["boxes", "target-boxes"]:
        box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=double)
        shift = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=double)
        yield _Line("", "shift of a box by its own width", -2, 2, lambda x: (box + x * shift, box))
    elif kinds in (["mask-probabilities", "mask"], ["mask-logits", "mask"]):
        yield _mask(kinds[0])
    else:
        yield _through(spec)


def _axis(kinds: list[str]) -> tuple[float, float, str]:
    if kinds[0] == "probabilities":
        return 0.005, 0.995, "probability"
    if kinds[0] == "binary-logits":
        return -6, 6, "score (logit)"
    if kinds[0] == "positive-values":
        return 0.1, 5, "prediction (target 1)"
    if kinds[1] == "real":
        return -4, 4, "residual: prediction − target"
    return -4, 4, "prediction" + (" (target 3)" if kinds[1] == "counts" else "")


def _first(margin: Tensor, classes: int) -> Tensor:
    return torch.cat([margin.reshape(1), torch.zeros(classes - 1, dtype=margin.dtype)]).reshape(1, classes)


def _mask(kind: str) -> _Line:
    """From the opposite of a mask (0) to the mask itself (1)."""
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    mask[..., :2] = 1.0

    def at(share: Tensor) -> tuple[Tensor, ...]:
        p = mask * share + (1 - mask) * (1 - share)
        return (p if kind == "mask-probabilities" else 8 * (p - 0.5), mask)

    return _Line("", "probability given to the right answer, pixel by pixel", 0.005, 0.995, at)


def _through(spec: LossSpec) -> _Line:
    """Ordinary inputs, with all predictions scaled by one number."""
    case = draw_case(spec.arguments, 0, spec.lengths)
    moved = [i for i, a in enumerate(spec.arguments) if a.role == "prediction"]
    kinds = [spec.arguments[i].of for i in moved]
    bounded = any(kind.low > -float("inf") or kind.high < float("inf") for kind in kinds)

    def at(scale: Tensor) -> tuple[Tensor, ...]:
        return tuple(value * scale if i in moved else value for i, value in enumerate(case))

    low, high = (0.1, 1.0) if bounded else (-3.0, 3.0)
    return _Line("", "all predictions of an ordinary batch, times this number", low, high, at)
