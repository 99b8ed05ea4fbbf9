"""Finite differences that know when they can be trusted."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Slope:
    """A directional derivative from central differences, and by how much it may be wrong.

    ``smooth`` is false where left and right slopes or two step widths disagree: at a kink nothing can be compared.
    """

    value: float
    error: float
    smooth: bool


def slope(
    f: Callable[[Tensor], float],
    x: Tensor,
    direction: Tensor,
    precision: float = 2.2e-16,
    room: float = math.inf,
) -> Slope:
    """d/dε f(x + ε·direction) at 0 by Richardson's rule from steps h and h/2.

    ``precision`` is the relative rounding of f; h = precision^(1/5), the best for a fourth-order rule. Cost: six
    evaluations, none farther than ``room`` from x in any coordinate.
    The error is the difference of the two rules plus the rounding |f|·precision/h.
    """
    size = float(direction.abs().max()) or 1.0
    h = precision**0.2 * max(1.0, float(x.abs().max()) ** 0.5 if x.numel() else 1.0) * 0.1 / size
    h = min(h, 0.9 * room / size)
    here = f(x)
    steps = [h, h / 2, h / 4]
    ahead = [f(x + s * direction) for s in steps]
    behind = [f(x - s * direction) for s in steps]
    central = [(a - b) / (2 * s) for a, b, s in zip(ahead, behind, steps, strict=True)]
    coarse = (4 * central[1] - central[0]) / 3
    fine = (4 * central[2] - central[1]) / 3
    top = max(abs(here), *(abs(v) for v in (*ahead, *behind)))
    rounding = 4 * precision * top / steps[-1]
    error = abs(fine - coarse) + rounding
    right, left = (ahead[2] - here) / steps[2], (here - behind[2]) / steps[2]
    bend = abs((ahead[0] - here) / h - (here - behind[0]) / h)  # halves with h where f is smooth
    kink = abs(right - left) > 0.6 * bend + 4 * rounding and abs(right - left) > 1e-6 * (
        abs(right) + abs(left)
    )
    finite = all(math.isfinite(v) for v in (here, *ahead, *behind))
    scale = max(abs(fine), abs(coarse))
    return Slope(fine, error, finite and not kink and error < 1e-3 * scale + 10 * rounding + 1e-9)


def precision_of(f: Callable[[Tensor], Tensor], x: Tensor, room: float = math.inf) -> float:
    """Relative rounding of ``f`` at ``x``: that of float64, or of float32 where it computes in that.

    A function that works in float32 inside does not see a change of 1e-11. No coordinate moves by more than ``room``.
    """
    result = f(x)
    if result.dtype != torch.float64:
        return 1.2e-7 if result.dtype == torch.float32 else 8e-3
    generator = torch.Generator().manual_seed(7)
    noise = (2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1).to(x.dtype)
    moved = [float(f(x + min(1e-11 * k, 0.9 * room) * noise)) for k in (1, 2, 3)]
    large = [float(f(x + min(1e-3 * k, 0.9 * room) * noise)) for k in (1, 2, 3)]
    here = float(result)
    blind = all(m == here for m in moved) and any(v != here for v in large)
    return 1.2e-7 if blind else 2.2e-16
