"""Kernel machines: the minimum of L(f) + λ‖f‖²_H over a reproducing kernel Hilbert space, with a certificate.

By the representer theorem f = Σ_i α_i k(x_i, ·), so that f = K α on the data and ‖f‖²_H = αᵀ K α (Schölkopf and Smola,
*Learning with Kernels*, 2002, theorem 4.2). L is the mean loss, (1/n) Σ ℓ(f_i, y_i), as the loss itself takes it.

* Squares, ℓ = (f - y)²: α = (K + nλ I)⁻¹ y and the minimum is λ yᵀ (K + nλ I)⁻¹ y, by one Cholesky factorisation.
* Any other convex loss with a slope: Newton's method (``newton.py``), α = -∂L/∂f / 2λ.

Mind the factors: scikit-learn's ``KernelRidge(alpha)`` has alpha = nλ; ``SVC`` and ``LogisticRegression(C)`` minimise
½‖f‖² + C Σ ℓ, hence C = 1 / 2nλ.
"""

import html
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel, positive
from losscope.kernels.machines.convex_loss import ConvexLoss, Loss
from losscope.kernels.machines.gram import DenseGram, Gram, LowRankGram, gram_of
from losscope.kernels.machines.newton import Minimum, Problem, minimise
from losscope.kernels.machines.nystroem import Nystroem, nystroem

__all__ = ["KernelMachine", "kernel_machine"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KernelMachine:
    """The learned function. ``value`` = ``data_value`` + ``penalty_value`` is at most ``gap`` above the minimum.

    ``coefficients`` α and ``predictions`` (on the data) have the shape of the loss's predictions. ``distance`` bounds
    ‖f - f*‖_H. ``degrees_of_freedom`` is tr K (K + nλ I)⁻¹ of the kernel and λ, per output of a shared kernel.
    ``captured`` is the share of tr K that Nyström's landmarks keep; 1 without.
    """

    penalty: float
    loss: str
    coefficients: Tensor
    predictions: Tensor
    data_value: float
    penalty_value: float
    gap: float
    converged: bool
    degrees_of_freedom: float
    steps: int
    products: int
    seconds: float
    captured: float = 1.0
    _problem: Problem = field(repr=False, kw_only=True)
    _source: "_Source" = field(repr=False, kw_only=True)

    @property
    def value(self) -> float:
        """L(f) + λ‖f‖²."""
        return self.data_value + self.penalty_value

    @property
    def norm(self) -> float:
        """‖f‖_H, without an offset."""
        return math.sqrt(max(0.0, self.penalty_value / self.penalty))

    @property
    def distance(self) -> float:
        """A bound of ‖f - f*‖_H: √(gap / λ)."""
        return math.sqrt(self.gap / self.penalty)

    def predict(self, inputs: Any, offset: Any = None) -> Tensor:
        """f(x) for new inputs, [m, …]; for a machine of a Gram matrix: of k(new, old) [m, n]. ``offset`` is added."""
        shape = self._problem.loss.shape[1:]
        cross = self._source.features(inputs)
        weights = self._problem.rows(self.coefficients)
        if self._source.landmarks is not None:
            weights = self._source.landmarks.features(self._source.inputs).T @ weights
        if cross.dim() != 2 or cross.shape[1] != len(weights):
            raise BadUsage(
                "new inputs are given as kernel values with those of the data",
                seen=f"shape {tuple(cross.shape)}, not [m, {len(weights)}]",
            )
        found = (cross.to(weights) @ weights).reshape(-1, *shape)
        return found if offset is None else found + torch.as_tensor(offset).to(found)

    def without_function(self) -> float:
        """L(o): the data term of f = 0."""
        return self._problem.at(self._problem.start()).data

    def at(self, penalty: float) -> "KernelMachine":
        """The same problem with another λ, started from this solution. Cost: as a new one, without the kernel."""
        start = self._problem.rows(self.coefficients)
        return _solved(
            self._problem, self._source, positive(penalty, "the penalty λ"), start, captured=self.captured
        )

    def leave_one_out(self) -> Tensor:
        """Residuals y_i - f₋ᵢ(x_i) of the machines that sample i was left out of, for squares; R³/3, without refits.

        α_i / ((K + nλ I)⁻¹)_ii, with blocks over the outputs of a full kernel; nλ is kept, so that the penalty is that
        of n samples (Wahba, *Spline Models*, 1990, section 4.2).
        """
        gram = self._problem.gram
        if not self._problem.loss.squares or not isinstance(gram, DenseGram):
            raise BadUsage("leave-one-out residuals have a closed form for squares only", seen=self.loss)
        shift = self._problem.loss.count * self.penalty
        alpha = self._problem.rows(self.coefficients)
        shape = self._problem.loss.shape
        if gram.rows == shape[0]:
            return (alpha / gram.shifted(shift).inverse_diagonal()[:, None]).reshape(shape)
        inverse = gram.shifted(shift).solve(torch.eye(gram.rows, dtype=alpha.dtype, device=alpha.device))
        outputs = gram.rows // shape[0]
        blocks = inverse.view(shape[0], outputs, shape[0], outputs).diagonal(dim1=0, dim2=2).movedim(-1, 0)
        return torch.linalg.solve(blocks, alpha.view(shape[0], outputs)).reshape(shape)

    def sentence(self) -> str:
        """What was found, in one line."""
        state = "" if self.converged else ", NOT converged"
        return (
            f"{self.loss} {self.data_value:.6g} + penalty {self.penalty_value:.6g} (λ = {self.penalty:.3g}); "
            f"norm {self.norm:.4g}, {self.degrees_of_freedom:.4g} degrees of freedom; "
            f"at most {self.gap:.2g} above the minimum{state}"
        )

    def __repr__(self) -> str:
        return f"<KernelMachine of {self._source}: {self.sentence()}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Where kernel values come from."""

    kernel: Kernel | None
    inputs: Any
    landmarks: Nystroem | None = None

    def __str__(self) -> str:
        return "a Gram matrix" if self.kernel is None else repr(self.kernel)

    def features(self, inputs: Any) -> Tensor:
        if self.landmarks is not None:
            return self.landmarks.features(inputs)
        return torch.as_tensor(inputs) if self.kernel is None else self.kernel(inputs, self.inputs)


def kernel_machine(
    kernel: Kernel | Tensor,
    inputs: Any,
    targets: Any,
    penalty: float,
    loss: Loss = "mse",
    *,
    outputs: int | None = None,
    options: Mapping[str, Any] | None = None,
    offset: Any = None,
    landmarks: int | None = None,
    seed: int = 0,
    rtol: float = 1e-10,
) -> KernelMachine:
    """Minimise L(o + f) + λ‖f‖²_H for ``penalty`` λ > 0, until J(f) - min J ≤ ``rtol`` · (J(0) - J(f)).

    ``kernel`` is a kernel, or its matrix [N, N] (``inputs`` is then None). The full tangent kernel [N·C, N·C] runs over
    samples and outputs; any other is shared by all outputs. ``loss`` is a name of the catalogue with ``options``, or
    a function of predictions and targets that gives a mean. ``outputs`` is the number of classes where the targets do
    not show it. ``offset`` o is a function that is not penalised, on the data: a network's initial predictions.
    ``landmarks`` approximates the kernel by so many inputs (Nyström), drawn by ``seed``.

    Cost: N³/3 for a factor, 2N² per product; N = 4,000 takes seconds. Raises ``BadUsage``, one line, for λ ≤ 0, a
    kernel that is not positive semi-definite, sizes that do not match, and losses that are not convex or have kinks.

    >>> x = torch.tensor([0.0, 1.0])
    >>> kernel_machine(torch.eye(2), None, x, 0.5).predictions  # K (K + nλ I)⁻¹ y with nλ = 1
    tensor([0.0000, 0.5000], dtype=torch.float64)
    """
    positive(penalty, "the penalty λ")
    if not 0 < rtol < 1:
        raise BadUsage("a relative tolerance is a number between 0 and 1", seen=f"rtol={rtol}")
    convex = ConvexLoss(loss, targets, outputs=outputs, options=options)
    source, gram, captured = _gram(kernel, inputs, landmarks, seed)
    convex.targets = convex.targets.to(gram.product(torch.zeros(gram.rows, 0).double()).device)
    problem = _problem(gram, convex, penalty, offset)
    return _solved(problem, source, float(penalty), None, rtol, captured)


def _gram(
    kernel: Kernel | Tensor, inputs: Any, landmarks: int | None, seed: int
) -> tuple[_Source, Gram, float]:
    """Where values come from, the Gram matrix, and the share of its trace that is kept."""
    if landmarks is None:
        source = _Source(kernel, inputs) if isinstance(kernel, Kernel) else _Source(None, None)
        return source, gram_of(kernel, inputs), 1.0
    if not isinstance(kernel, Kernel):
        raise BadUsage("landmarks are chosen for a kernel, not for its matrix", seen=f"landmarks={landmarks}")
    found = nystroem(kernel, inputs, landmarks, seed)
    low = LowRankGram(found.features(inputs))
    return _Source(kernel, inputs, found), low, low.trace() / float(kernel.diagonal(inputs).sum())


def _problem(gram: Gram, loss: ConvexLoss, penalty: float, offset: Any) -> Problem:
    count = math.prod(loss.shape)
    if gram.rows not in (loss.shape[0], count):
        raise BadUsage(
            "kernel and targets are of different sizes",
            seen=f"{gram.rows} rows of the kernel, predictions {list(loss.shape)}",
        )
    if offset is not None:
        offset = torch.as_tensor(offset).detach().to(loss.targets.device).double()
        if offset.numel() != count:
            raise BadUsage(
                "the offset has the shape of the predictions", seen=f"{tuple(offset.shape)}, not {loss.shape}"
            )
        offset = offset.reshape(loss.shape)
    return Problem(gram, loss, penalty, offset, count // gram.rows)


def _solved(
    problem: Problem,
    source: _Source,
    penalty: float,
    start: Tensor | None,
    rtol: float = 1e-10,
    captured: float = 1.0,
) -> KernelMachine:
    began = time.perf_counter()
    problem = Problem(problem.gram, problem.loss, penalty, problem.offset, problem.columns)
    shifted = problem.gram.shifted(problem.loss.count * penalty)
    if problem.loss.squares:
        wanted = problem.loss.targets if problem.offset is None else problem.loss.targets - problem.offset
        point = problem.at(shifted.solve(problem.rows(wanted)))
        found = Minimum(point, problem.gap(point), True, 1, 1)
    else:
        found = minimise(problem, rtol, start)
    shape = problem.loss.shape
    return KernelMachine(
        penalty=penalty,
        loss=problem.loss.name,
        coefficients=found.point.coefficients.reshape(shape),
        predictions=found.point.predictions,
        data_value=found.point.data,
        penalty_value=found.point.penalty,
        gap=found.gap,
        converged=found.converged,
        degrees_of_freedom=shifted.degrees_of_freedom(),
        steps=found.steps,
        products=found.products,
        seconds=time.perf_counter() - began,
        captured=captured,
        _problem=problem,
        _source=source,
    )
