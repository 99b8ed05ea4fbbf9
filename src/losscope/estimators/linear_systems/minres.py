"""Minimal residuals for indefinite symmetric operators, many right-hand sides at once.

Lanczos on each column with a QR factorisation of the tridiagonal matrix by Givens rotations: of all x in the Krylov
space the one with the smallest residual. The residual never grows. On a singular system that has no solution it tends
to a least-squares solution, with a residual that does not vanish.

Source: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975), doi:10.1137/0712047; the recurrences as in Choi, Paige and
Saunders, SIAM J. Sci. Comput. 33 (2011), arXiv:1003.4042, table 3.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.estimators.linear_systems.columns import Columns
from losscope.estimators.vectors import dots


def minimal_residuals(columns: Columns, right: Tensor) -> Iterator[tuple[Tensor, bool]]:
    """x [n, k] with ‖b - Ax‖ below each column's tolerance, with True; or as far as the budget allows, with False.

    With a preconditioner the residual is measured as √(rᵀMr), relative to its first value. One product per step and
    column that has not converged. Memory: nine blocks [n, k].
    """
    first = columns.precondition(right)
    beta = columns.squared(right, first).sqrt()
    columns.tolerance = columns.tolerance * beta / dots(right, right).sqrt().clamp_min(_small(right))
    zero = torch.zeros_like(beta)
    columns.state = {
        **{"x": right * 0, "w": right * 0, "v": right * 0, "older": right * 0, "r": right, "z": first},
        **{"oldbeta": zero + 1, "beta": beta, "dbar": zero, "epsilon": zero},
        **{"phi": beta, "cos": zero - 1, "sin": zero},
    }
    columns.freeze(beta <= columns.tolerance)
    # The Krylov space is at its end, or ‖Ar‖ ≪ ‖A‖ ‖r‖: least squares. Going on would blow up x in the null space.
    least = max(64 * columns.budget.rounding, columns.budget.rtol / 10)
    while len(columns.place):
        if not columns.room:
            yield columns.so_far(), False
            continue
        _step(columns)
        state = columns.state
        spent = (state["beta"] <= least * state["size"]) | (state["root"] <= least * state["size"])
        columns.budget.report(float((state["phi"] / columns.tolerance).max()))
        columns.freeze((state["phi"] <= columns.tolerance) | spent)
    yield columns.so_far(), True


def _step(columns: Columns) -> None:
    """One Lanczos step, one rotation, one update of x."""
    s = columns.state
    image = s["z"]
    v = image / s["beta"].to(image)
    image = columns.budget.multiply(v) - (s["beta"] / s["oldbeta"]).to(image) * s["older"]
    alpha = dots(v, image)
    image = image - (alpha / s["beta"]).to(image) * s["r"]
    s["older"], s["r"], s["z"] = s["r"], image, columns.precondition(image)
    s["oldbeta"], s["beta"] = s["beta"], columns.squared(image, s["z"]).sqrt()
    size = torch.maximum(alpha.abs(), s["beta"])
    s["size"] = torch.maximum(size, s["size"]) if "size" in s else size
    delta = s["cos"] * s["dbar"] + s["sin"] * alpha
    gbar = s["sin"] * s["dbar"] - s["cos"] * alpha
    before, s["epsilon"], s["dbar"] = s["epsilon"], s["sin"] * s["beta"], -s["cos"] * s["beta"]
    s["root"] = torch.hypot(gbar, s["dbar"])  # ‖Ar‖ / ‖r‖ before this step
    gamma = torch.hypot(gbar, s["beta"])
    flat = gamma <= columns.budget.rounding * s["size"]  # A v = 0 in the end: nothing more can be gained
    gamma = torch.where(flat, torch.ones_like(gamma), gamma)
    s["cos"], s["sin"] = torch.where(flat, 0.0, gbar / gamma), torch.where(flat, 1.0, s["beta"] / gamma)
    step, s["phi"] = s["cos"] * s["phi"], s["sin"] * s["phi"]
    w = (v - before.to(v) * s["v"] - delta.to(v) * s["w"]) / gamma.to(v)
    s["v"], s["w"] = s["w"], w
    s["x"] = s["x"] + step.to(v) * w


def _small(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
