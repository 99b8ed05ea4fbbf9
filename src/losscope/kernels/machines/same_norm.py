"""The smallest loss that a kernel machine reaches within a given distance: min L(o + f) over ‖f‖_H ≤ B.

That is the machine at the λ for which ‖f_λ‖_H = B (Lagrange; ‖f_λ‖ falls as λ rises), or any minimum of L inside the
ball. A machine with ‖f_λ‖ ≤ B says itself how near it is: for every f in the ball L(f_λ) + λ‖f_λ‖² ≤ L(f) + λB², hence

    L(f_λ) - min over the ball ≤ λ (B² - ‖f_λ‖²) + gap.
"""

import math

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import positive
from losscope.kernels.machines.machine import KernelMachine

__all__ = ["at_norm"]

_WIDER = 10.0
_SEARCHES = 60
_SAME = 1e-9  # relative distance of two penalties that are taken for one


def at_norm(machine: KernelMachine, norm: float, *, rtol: float = 1e-3) -> KernelMachine:
    """The best function with ‖f‖_H ≤ ``norm``, to ``rtol`` of what it lowers the loss, from a machine of any λ.

    Where the λ that this takes is below the rounding of the kernel, the machine of the smallest λ that can be solved.
    Cost: five to ten problems, each started from the nearest before it.
    """
    positive(norm, "a norm")
    zero = machine.without_function()
    above, below = None, None  # of the norm: machines of too small, and of large enough λ
    found = machine
    for search in range(_SEARCHES):
        if found.norm > norm:
            above = found
        else:
            below = found
            short = found.penalty * (norm**2 - found.norm**2) + found.gap
            if short <= rtol * (zero - found.data_value):
                return found
        if above is None:
            penalty = found.penalty / _WIDER
        elif below is None:
            penalty = found.penalty * _WIDER
        else:
            if below.penalty <= above.penalty * (1 + _SAME):
                return below
            spare = 0.5 * rtol * (zero - below.data_value) / (below.penalty * norm**2)
            aim = norm * math.sqrt(max(0.25, 1 - spare))
            penalty = _between(above, below, aim if search % 4 else 0.0)
        known = [m for m in (above, below) if m is not None]
        nearest = min(known, key=lambda m: abs(math.log(m.penalty / penalty)))
        try:
            found = nearest.at(penalty)
        except BadUsage:
            if below is None:
                raise
            return below  # smaller penalties are below the rounding of the kernel
    raise BadUsage("no penalty gives the function this norm", seen=f"‖f‖ = {norm:.3g}, now {found.norm:.3g}")


def _between(above: KernelMachine, below: KernelMachine, norm: float) -> float:
    """Where a line through ln ‖f‖ over ln λ meets ``norm``, but not near an end; in the middle where there is none."""
    low, high = math.log(above.penalty), math.log(below.penalty)
    fall = math.log(above.norm / below.norm) if below.norm > 0 else math.inf
    share = math.log(above.norm / norm) / fall if norm > 0 and 0 < fall < math.inf else 0.5
    return math.exp(low + (high - low) * min(0.98, max(0.02, share)))
