"""The trace of a Gauss-Newton matrix to a tolerance: random mixtures of the outputs where that beats all of them.

tr Jᵀ H J = Σ_i E‖J_iᵀ u_i‖² with u_i = Σ_k ξ_ik √λ_ik v_ik, for the eigenpairs (λ, v) of the loss Hessian H_i of sample i
and random signs ξ. One backward pass gives ‖J_iᵀ u_i‖² of all samples, each an independent draw: with N samples and K
draws the variance is Σ_i Var_i / K, known from the draws themselves with N(K-1) degrees of freedom. Two or three draws
often do what C outputs take C passes for.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.samples import caution
from losscope.estimators.traces.gauss_newton_trace import exact_of_batch, loss_hessians, split
from losscope.objective.objective import Objective
from losscope.operators.layers import Layers

__all__ = ["gauss_newton_draws"]

_NEGATIVE = 1e-5  # of the largest eigenvalue of the loss Hessians: rounding


def gauss_newton_draws(objective: Objective, rtol: float = 0.02, *, seed: int = 0) -> Estimate:
    """tr of the data term's Gauss-Newton matrix ± its standard error (0: exact).

    Cost: one forward pass, and as many backward passes as the tolerance takes, at most one for each output of a
    sample. Raises ``NotReadable`` as ``gauss_newton_trace`` does.

    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> gauss_newton_draws(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).value
    5.0
    """
    began = time.perf_counter()
    total = in_parts(objective, rtol, torch.Generator().manual_seed(seed), lambda layers: None)
    return Estimate(total.value, math.sqrt(total.variance), total.passes, time.perf_counter() - began)


@dataclass
class Part:
    """Value, variance and backward passes of a part of the trace."""

    value: float = 0.0
    variance: float = 0.0
    passes: int = 0

    def add(self, coefficient: float, other: "Part") -> None:
        self.value += coefficient * other.value
        self.variance += coefficient**2 * other.variance
        self.passes += other.passes


def in_parts(
    objective: Objective, rtol: float, random: torch.Generator, visit: Callable[[Layers], None]
) -> Part:
    """The trace batch by batch; ``visit`` sees the layers of each before they are let go."""
    total = Part()
    used = [c for c in objective.coefficients if c]
    share = rtol * sum(map(abs, used)) / math.sqrt(sum(c * c for c in used))
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            layers = Layers(objective, index)
            total.add(coefficient, of_batch(layers, share, random))
            visit(layers)
    return total


def of_batch(layers: Layers, rtol: float, random: torch.Generator) -> Part:
    """One batch: draws until ``rtol`` is met, or all outputs if that is not dearer."""
    hessians = loss_hessians(layers.batch, layers.samples)
    values, vectors = torch.linalg.eigh(hessians)
    outputs = values.shape[1]
    definite = float(values.min()) >= -_NEGATIVE * float(values.abs().max())
    if not definite or outputs <= 2 or rtol <= 0:
        return Part(exact_of_batch(layers, values, vectors), 0.0, outputs)
    roots = vectors * values.clamp_min(0).sqrt()[:, None, :]
    draws: list[Tensor] = []
    wanted = 2
    while True:
        while len(draws) < wanted:
            draws.append(_draw(layers, roots, random))
        known = torch.stack(draws)
        value = float(known.mean(0).sum())
        variance = float(known.var(0).sum())  # of one draw of all samples
        stderr = math.sqrt(variance / len(draws)) * caution((len(draws) - 1) * layers.samples + 1)
        if stderr <= rtol * abs(value):
            return Part(value, variance / len(draws), len(draws))
        ratio = stderr / (rtol * abs(value)) if value else math.inf
        more = len(draws) * ratio**2 - len(draws)
        if not more < outputs:
            return Part(exact_of_batch(layers, values, vectors), 0.0, outputs + len(draws))
        wanted = len(draws) + max(1, math.ceil(more))


def _draw(layers: Layers, roots: Tensor, random: torch.Generator) -> Tensor:
    """‖J_iᵀ u_i‖² of every sample, [n] in double precision."""
    signs = 2 * torch.randint(2, roots.shape[:2], generator=random) - 1
    mixed = torch.einsum("nok,nk->no", roots, signs.to(roots))
    return layers.squares(split(mixed, layers.batch)).double()
