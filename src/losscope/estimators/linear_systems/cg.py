"""Conjugate gradients for positive definite operators, many right-hand sides at once.

Each column is its own iteration (Hestenes and Stiefel 1952); products of all columns are made together, and columns
that have converged are frozen. After j steps the error in the norm of A is at most 2 ((√κ-1)/(√κ+1))ʲ times the first.
A direction p with pᵀAp ≤ 0 proves that A is not positive definite: then the iteration ends and says so.

Source: Golub and Van Loan, *Matrix Computations*, algorithm 11.5.1 (preconditioned).
"""

from collections.abc import Iterator

from torch import Tensor

from losscope.estimators.linear_systems.columns import Columns
from losscope.estimators.vectors import dots


def conjugate_gradients(columns: Columns, right: Tensor) -> Iterator[tuple[Tensor, bool]]:
    """x [n, k] with ‖b - Ax‖ below each column's tolerance, with True; or as far as the budget allows, with False.

    Where pᵀAp ≤ 0 is seen it ends, and ``columns.indefinite`` is set.
    One product per step and column that has not converged. Memory: four blocks [n, k].
    """
    first = columns.precondition(right)
    columns.state = {"x": right * 0, "r": right, "p": first}
    columns.state["rho"] = columns.squared(right, first)
    columns.freeze(dots(right, right).sqrt() <= columns.tolerance)
    while len(columns.place):
        if not columns.room:
            yield columns.so_far(), False
            continue
        state = columns.state
        image = columns.budget.multiply(state["p"])
        curvature = dots(state["p"], image)
        if bool((curvature <= 0).any()):
            columns.indefinite = True
            break
        step = (state["rho"] / curvature).to(image)
        state["x"] = state["x"] + step * state["p"]
        state["r"] = state["r"] - step * image
        better = columns.precondition(state["r"])
        rho = columns.squared(state["r"], better)
        state["p"] = better + (rho / state["rho"]).to(image) * state["p"]
        state["rho"] = rho
        sizes = dots(state["r"], state["r"]).sqrt()
        columns.budget.report(float((sizes / columns.tolerance).max()))
        columns.freeze(sizes <= columns.tolerance)
    yield columns.so_far(), True
