"""The trace of a Gauss-Newton matrix to a tolerance: random mixtures of the outputs where that beats all of them.

tr Jᵀ H J = Σ_i E‖J_iᵀ u_i‖² for random u_i with E u_i u_iᵀ = H_i, the loss Hessian of sample i: u_i = Σ_k ξ_ik √λ_ik
v_ik with its eigenpairs (λ, v) and random signs ξ, or in closed form for likelihoods, of any number of outputs. One
backward pass gives ‖J_iᵀ u_i‖² of all samples, each an independent draw. Two or three passes often do what C outputs
take C passes for.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.traces.draws import Part, draw_until, least_draws
from losscope.estimators.traces.gauss_newton_trace import (
    MOST_OUTPUTS,
    exact_of_batch,
    loss_hessians,
    split,
)
from losscope.objective.objective import Objective
from losscope.operators.layers import Layers
from losscope.operators.likelihood import rows_of, term_of

__all__ = ["gauss_newton_draws"]

Draw = Callable[[], Tensor]

_NEGATIVE = 1e-5  # of the largest eigenvalue of the loss Hessians: rounding
_MOST_DRAWS = 200.0


def gauss_newton_draws(objective: Objective, rtol: float = 0.02, *, seed: int = 0) -> Estimate:
    """tr of the data term's Gauss-Newton matrix ± its standard error (0: exact).

    Cost: one forward pass, and as many backward passes as the tolerance takes, at most one for each output of a
    sample where there are up to 128. Raises ``NotReadable`` or ``BadUsage`` as ``gauss_newton_trace`` does, but for
    likelihoods with any number of outputs.

    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> gauss_newton_draws(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).value
    5.0
    """
    began, random = time.perf_counter(), torch.Generator().manual_seed(seed)
    total = by_batch(objective, rtol, lambda layers, share: of_batch(objective, layers, share, random))
    return Estimate(total.value, math.sqrt(total.variance), total.passes, time.perf_counter() - began)


def by_batch(objective: Objective, rtol: float, part: Callable[[Layers, float], Part]) -> Part:
    """The sum over batches of ``part(layers, share)``: errors of that share of each make ``rtol`` of all."""
    total = Part()
    used = [c for c in objective.coefficients if c]
    share = rtol * sum(map(abs, used)) / math.sqrt(sum(c * c for c in used))
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            total.add(coefficient, part(Layers(objective, index), share))
    return total


def of_batch(objective: Objective, layers: Layers, rtol: float, random: torch.Generator) -> Part:
    """One batch: draws until ``rtol`` is met, or all outputs if that is not dearer."""
    outputs = sum(p[0].numel() for p in layers.batch.predictions)

    def target(value: float) -> float:
        return rtol * abs(value)

    if outputs > MOST_OUTPUTS:
        return draw_until(_roots(objective, layers, random), target, _MOST_DRAWS)[0]
    values, vectors = torch.linalg.eigh(loss_hessians(layers.batch, layers.samples))
    definite = float(values.min()) >= -_NEGATIVE * float(values.abs().max())
    spent = 0
    if definite and rtol > 0 and outputs > max(2, least_draws(layers.samples)):
        draw = _mixtures(layers, vectors * values.clamp_min(0).sqrt()[:, None, :], random)
        found, reached = draw_until(draw, target, outputs, or_not=True)
        if reached:
            return found
        spent = found.passes
    return Part(exact_of_batch(layers, values, vectors), 0.0, outputs + spent)


def _mixtures(layers: Layers, roots: Tensor, random: torch.Generator) -> Draw:
    """‖J_iᵀ u_i‖² for random mixtures u of the columns of ``roots`` [n, outputs, k]."""

    def draw() -> Tensor:
        signs = 2 * torch.randint(2, (len(roots), roots.shape[2]), generator=random) - 1
        return layers.squares(split(torch.einsum("nok,nk->no", roots, signs.to(roots)), layers.batch))

    return draw


def _roots(objective: Objective, layers: Layers, random: torch.Generator) -> Draw:
    """‖J_iᵀ u_i‖² with u in closed form; ``BadUsage`` for what is no likelihood.

    For a softmax H = diag(p) - ppᵀ, and √p∘ξ - p (√p·ξ) is such a u for random signs ξ.
    """
    batch = layers.batch
    term = term_of(objective, batch)
    rows = rows_of(term, batch)
    prediction = batch.predictions[0].detach()
    if rows.weight < 0:
        raise BadUsage("a likelihood with a negative weight has no draws", seen=str(rows.weight))
    if rows.axis is None:
        root = batch.curve([torch.ones_like(prediction)])[0].clamp_min(0).sqrt()
    else:
        root = prediction.softmax(rows.axis).sqrt()

    def draw() -> Tensor:
        signs = torch.empty(prediction.shape, dtype=torch.int8).random_(0, 2, generator=random)
        u = root * (2 * signs - 1).to(root)
        if rows.axis is not None:
            u = (u - root.square() * rows.inner(root, (2 * signs - 1).to(root))) * rows.counts
            u *= rows.weight**0.5
        return layers.squares([u])

    return draw
