"""A loss along one path: value, slope and curvature against the number that people think in.

The number depends on what the loss takes (:mod:`losscope.losses.paths`): the margin of the right class, the residual,
the cosine of a pair, the overlap of two boxes. Everything is evaluated with the loss's own function in float64; the
slope comes from autograd, the curvature from differentiating twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from losscope.losses.paths.choose import paths
from losscope.losses.paths.path import Path
from losscope.losses.spec import LossSpec, needed_options

_POINTS = 240  # even, so that no point lies on the kink in the middle
_ROUNDING = 1e-11  # of value and slope: a curvature below that is the rounding of a straight line


@dataclass(frozen=True, slots=True)
class Section:
    """``value``, ``slope`` and ``curvature`` [points] at ``x`` along ``path``."""

    path: Path
    x: Tensor
    value: Tensor
    slope: Tensor
    curvature: Tensor | None


def sections(spec: LossSpec, points: int = _POINTS, **options: Any) -> list[Section]:
    """The curves that show a loss best, one or two of them; empty for a loss without a function."""
    if spec.function is None or not spec.arguments:
        return []
    chosen = {**needed_options(spec), **options}
    function = partial(spec.function, **chosen) if chosen else spec.function
    return [found for path in paths(spec) if (found := _evaluate(function, path, points)) is not None]


def values_only(spec: LossSpec, points: int = 80) -> list[tuple[Path, Tensor, Tensor]]:
    """Path, x and value of the same curves, at a fraction of the cost: for small pictures."""
    if spec.function is None or not spec.arguments:
        return []
    function = partial(spec.function, **needed_options(spec))
    curves = []
    for path in paths(spec):
        x = torch.linspace(path.low, path.high, points, dtype=torch.float64)
        with torch.no_grad():
            values = torch.stack([function(*path.at(number)).sum() for number in x])
        curves.append((path, x, values))
    return curves


def _evaluate(function: Callable[..., Tensor], path: Path, points: int) -> Section | None:
    x = torch.linspace(path.low, path.high, points, dtype=torch.float64)
    values, slopes, curvatures = [], [], []
    for number in x:
        point = number.clone().requires_grad_()
        value = function(*path.at(point))
        value = value if value.dim() == 0 else value.sum()
        if not value.requires_grad:
            return None
        (slope,) = torch.autograd.grad(value, point, create_graph=True, allow_unused=True)
        slope = torch.zeros_like(point) if slope is None else slope
        values.append(value.detach())
        slopes.append(slope.detach())
        curvatures.append(_again(slope, point))
    value, slope, bent = torch.stack(values), torch.stack(slopes), [c for c in curvatures if c is not None]
    if len(bent) < points:
        return Section(path, x, value, slope, None)
    curvature = torch.stack(bent)
    rounding = _ROUNDING * float(value.abs().max() + slope.abs().max())
    return Section(path, x, value, slope, curvature.masked_fill(curvature.abs() <= rounding, 0.0))


def _again(slope: Tensor, point: Tensor) -> Tensor | None:
    if not slope.requires_grad:
        return torch.zeros_like(point).detach()
    try:
        (curvature,) = torch.autograd.grad(slope, point, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return None
    return torch.zeros_like(point).detach() if curvature is None else curvature.detach()
