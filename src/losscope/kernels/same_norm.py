"""The kernel machine whose function has a given norm: the smallest loss that is possible within that distance.

min L(o + f) over ‖f‖_H ≤ B is the kernel machine at the λ for which ‖f_λ‖_H = B (Lagrange; ‖f_λ‖ falls as λ rises), or
any interpolation within the ball.
"""

import math

from losscope.core.errors import BadUsage
from losscope.kernels.kernel import positive
from losscope.kernels.machine import KernelMachine

__all__ = ["at_norm"]

_WIDER = 10.0
_SEARCHES = 60


def at_norm(machine: KernelMachine, norm: float, *, rtol: float = 1e-3) -> KernelMachine:
    """The machine with ‖f‖_H within ``rtol`` of ``norm``, and not above it, by interpolation of ln ‖f‖ in ln λ.

    Where λ would fall below the rounding of the kernel, the last one that can be solved: its loss is then as small as
    the kernel permits. Cost: five to ten problems, each started from the one before.
    """
    positive(norm, "a norm")
    above, below = None, None  # of the norm: machines of too small, and of large enough λ
    found = machine
    for _ in range(_SEARCHES):
        if found.norm > norm:
            above = found
        else:
            below = found
            if found.norm >= norm * (1 - rtol):
                return found
        if above is None:
            penalty = found.penalty / _WIDER
        elif below is None:
            penalty = found.penalty * _WIDER
        else:
            if below.penalty <= above.penalty * (1 + rtol * rtol):
                return below
            penalty = _between(above, below, norm * (1 - rtol / 2))
        nearest = min((m for m in (above, below) if m is not None), key=lambda m: abs(math.log(m.penalty / penalty)))
        try:
            found = nearest.at(penalty)
        except BadUsage:
            if below is None or above is not None:
                raise
            return below  # smaller penalties are below the rounding of the kernel
    assert below is not None
    return below


def _between(above: KernelMachine, below: KernelMachine, norm: float) -> float:
    """Where a line through ln ‖f‖ over ln λ meets ``norm``; not too near to an end, so that brackets shrink."""
    low, high = math.log(above.penalty), math.log(below.penalty)
    fall = math.log(above.norm / below.norm) if below.norm > 0 else math.inf
    share = math.log(above.norm / norm) / fall if 0 < fall < math.inf else 0.5
    return math.exp(low + (high - low) * min(0.95, max(0.05, share)))
