"""Newton's method for min L(K α + o) + λ tr αᵀ K α, in the metric of the kernel's space.

The gradient in that space has coefficients r = g + 2λα with g = ∂L/∂f, and squared norm rᵀ K r. The problem is strongly
convex with modulus 2λ, hence *wherever* the method stops

    J(f) - min J ≤ rᵀ K r / 4λ,        ‖f - f*‖_H ≤ √(rᵀ K r) / 2λ:

certificates that hold for every convex L and need no minimum. A step solves (W K + 2λ) d = -r, with W = ∂²L/∂f², by
conjugate gradients in the scalar product uᵀ K v, where that matrix is symmetric; preconditioned by (w K + 2λ)⁻¹ with
the mean curvature w, which is exact for constant curvature. Steps are halved until Armijo's condition holds; forcing
sequence of Eisenstat and Walker, 1996, doi:10.1137/0917003.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.machines.convex_loss import ConvexLoss
from losscope.kernels.machines.gram import Gram, Shifted

_STEPS = 200
_PRODUCTS = 400  # of one step
_DRIFT = 2.0  # of the mean curvature, before the preconditioner is made anew
_EPS = torch.finfo(torch.float64).eps
_ROUNDING = 1e4 * _EPS  # of J: sums over samples


@dataclass(slots=True, eq=False)
class Point:
    """Coefficients α [R, k], predictions, data term, penalty, r, and ‖∇J‖²_H."""

    coefficients: Tensor
    inner: Tensor
    predictions: Tensor
    data: float
    penalty: float
    slope: Tensor
    squared: float

    @property
    def value(self) -> float:
        return self.data + self.penalty


@dataclass(slots=True, eq=False)
class Minimum:
    """Where Newton's method ended; ``converged``: the gap is below the tolerance."""

    point: Point
    gap: float
    converged: bool
    steps: int
    products: int


class Problem:
    """L(K α + o) + λ tr αᵀ K α over α [R, k]; predictions are its rows in the shape of the loss."""

    def __init__(
        self, gram: Gram, loss: ConvexLoss, penalty: float, offset: Tensor | None, columns: int
    ) -> None:
        self.gram, self.loss, self.penalty, self.columns = gram, loss, penalty, columns
        self.offset = offset

    def at(self, coefficients: Tensor, inner: Tensor | None = None) -> Point:
        """Everything of a point; ``inner`` is K α where it is known."""
        inner = self.gram.product(coefficients) if inner is None else inner
        f = self._predictions(inner)
        data = self.loss.value(f)
        penalty = self.penalty * float((coefficients * inner).sum())
        if not math.isfinite(data):
            return Point(coefficients, inner, f, math.inf, penalty, torch.zeros_like(coefficients), math.inf)
        slope = self.rows(self.loss.gradient(f)) + 2 * self.penalty * coefficients
        squared = max(0.0, float((slope * self.gram.product(slope)).sum()))
        return Point(coefficients, inner, f, data, penalty, slope, squared)

    def start(self) -> Tensor:
        return torch.zeros(self.gram.rows, self.columns, dtype=torch.float64, device=self.loss.targets.device)

    def rows(self, values: Tensor) -> Tensor:
        """Values in the shape of the loss, as [R, k]."""
        return values.reshape(self.gram.rows, self.columns)

    def _predictions(self, inner: Tensor) -> Tensor:
        f = inner.reshape(self.loss.shape)
        return f if self.offset is None else f + self.offset

    def gap(self, point: Point) -> float:
        """‖∇J‖² / 4λ ≥ J - min J."""
        return point.squared / (4 * self.penalty)


def minimise(problem: Problem, rtol: float, start: Tensor | None = None) -> Minimum:
    """Newton's method from zero, or from a start, until J - min J ≤ ``rtol`` · (J(0) - J), or to rounding.

    Raises ``BadUsage`` where the loss turns out not to be convex, has kinks, or is not finite at zero.
    """
    point = zero = problem.at(problem.start())
    if not math.isfinite(zero.value):
        raise BadUsage("the loss is not a finite number for predictions of zero", seen=problem.loss.name)
    if start is not None:
        warm = problem.at(start)
        point = warm if warm.value < zero.value else zero
    metric = _Metric(problem)
    products = steps = 0
    while not _done(problem, point, zero, rtol) and steps < _STEPS:
        direction, image, used = _direction(problem, point, metric)
        products += used
        along = float((point.slope * image).sum())
        following = _search(problem, point, direction, along)
        if following is None:
            _kink(problem, point, along)
            break
        point, steps = following, steps + 1
    gap = problem.gap(point)
    if not gap <= zero.value - point.value + 16 * _EPS * abs(zero.value):
        raise BadUsage(
            "Newton's method came nowhere near a minimum: the loss has kinks, or the penalty is tiny",
            seen=f"{problem.loss.name}, λ = {problem.penalty:.3g}, {gap:.3g} above it at most after {steps} steps",
            remedy="take a loss with a slope everywhere, such as squared_hinge, huber or log_cosh, or a larger penalty",
        )
    return Minimum(point, gap, _done(problem, point, zero, rtol), steps, products)


def _done(problem: Problem, point: Point, zero: Point, rtol: float) -> bool:
    fallen = max(0.0, zero.value - point.value)
    return problem.gap(point) <= rtol * fallen + 16 * _EPS * (abs(zero.value) + abs(point.value))


class _Metric:
    """(w K + 2λ)⁻¹ with the mean curvature w: factorised again when that has drifted."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._mean = problem, 0.0
        self._factor: Shifted | None = None

    def renew(self, mean: float) -> None:
        """For a mean curvature at hand."""
        known = self._mean > 0 and 1 / _DRIFT <= mean / self._mean <= _DRIFT
        if mean > 0 and not known:
            self._mean = mean
            self._factor = self._problem.gram.shifted(2 * self._problem.penalty / mean)

    def apply(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """z = (w K + 2λ)⁻¹ v, and K z, which is (v - 2λ z) / w."""
        if self._factor is None:
            z = v / (2 * self._problem.penalty)
            return z, self._problem.gram.product(z)
        z = self._factor.solve(v) / self._mean
        return z, (v - 2 * self._problem.penalty * z) / self._mean


def _direction(problem: Problem, point: Point, metric: _Metric) -> tuple[Tensor, Tensor, int]:
    """d with (W K + 2λ) d ≈ -r, K d, and the number of products."""
    curvature, shape = problem.loss.curvature(point.predictions), problem.loss.shape
    metric.renew(_mean_curvature(curvature, point.predictions))
    d, image = torch.zeros_like(point.slope), torch.zeros_like(point.slope)
    residual = -point.slope
    z, kz = metric.apply(residual)
    p, kp = z, kz
    size = first = float((residual * kz).sum())
    enough = min(0.1, point.squared**0.25) ** 2
    used = 0
    while used < _PRODUCTS:
        used += 1
        bent = problem.rows(curvature(kp.reshape(shape)))
        bending, plain = float((kp * bent).sum()), 2 * problem.penalty * float((kp * p).sum())
        _check_convex(problem, bending, float(kp.norm() * bent.norm()))
        if not bending + plain > 0:
            break
        step = size / (bending + plain)
        d, image = d + step * p, image + step * kp
        residual = residual - step * (bent + 2 * problem.penalty * p)
        z, kz = metric.apply(residual)
        following = float((residual * kz).sum())
        if not following > enough * first or not math.isfinite(following):
            break
        p, kp = z + following / size * p, kz + following / size * kp
        size = following
    return d, image, used


def _mean_curvature(curvature, predictions: Tensor) -> float:
    """Mean diagonal entry of W, by one Rademacher vector of a fixed seed; only the preconditioner depends on it."""
    random = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, predictions.shape, generator=random).to(predictions) * 2 - 1
    return float((signs * curvature(signs)).mean())


def _check_convex(problem: Problem, bending: float, scale: float) -> None:
    if bending < -_ROUNDING * scale:
        raise BadUsage(
            "the loss is not convex in the predictions: its minimum in a kernel's space cannot be certified",
            seen=f"negative curvature of {problem.loss.name}",
            remedy="take a convex one, such as cross_entropy, mse, huber or squared_hinge",
        )


def _search(problem: Problem, point: Point, direction: Tensor, along: float) -> Point | None:
    """The first of the steps 1, ½, ¼, … √ε that lowers J as Armijo asks; None where none does."""
    step = 1.0
    while along < 0 and step > _EPS**0.5:
        found = problem.at(point.coefficients + step * direction)
        if found.value <= point.value + 1e-4 * step * along:
            return found
        if abs(along) <= _ROUNDING * abs(point.value) and found.squared < 0.25 * point.squared:
            return found  # J cannot tell any more, its gradient can
        step /= 2
    return None


def _kink(problem: Problem, point: Point, along: float) -> None:
    """Tell a loss with kinks from rounding: no step lowers J although its slope promised more than rounding."""
    if along < -_ROUNDING * abs(point.value):
        raise BadUsage(
            "Newton's method is stuck: the loss has kinks where it should have a slope",
            seen=f"{problem.loss.name}, at most {problem.gap(point):.3g} above its minimum",
            remedy="take a loss with a slope everywhere, such as squared_hinge, huber or log_cosh",
        )
