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
from losscope.estimators.traces.gauss_newton_trace import exact_of_batch
from losscope.objective.objective import Objective
from losscope.operators.layers import Layers
from losscope.operators.likelihood import Scores, scores_of, signs
from losscope.operators.loss_hessian import MOST_OUTPUTS, loss_hessians, split

__all__ = ["gauss_newton_draws"]

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
    scores = _likelihood(objective, layers)
    return (
        _by_eigenvectors(layers, rtol, random) if scores is None else _by_scores(layers, scores, rtol, random)
    )


def _likelihood(objective: Objective, layers: Layers) -> Scores | None:
    """The loss as a likelihood whose Fisher information is its Hessian in the predictions; ``None`` if it is none."""
    batch = layers.batch
    try:
        scores = scores_of(objective, batch)
    except BadUsage:
        return None
    generator = torch.Generator().manual_seed(0)
    vector = [torch.randn(p.shape, generator=generator).to(p) for p in batch.predictions]
    found, expected = scores.product(vector), batch.curve(vector)
    away = sum(float((f - e).double().square().sum()) for f, e in zip(found, expected, strict=True))
    size = sum(float(e.double().square().sum()) for e in expected)
    return scores if away <= torch.finfo(vector[0].dtype).eps * size else None


def _by_scores(layers: Layers, scores: Scores, rtol: float, random: torch.Generator) -> Part:
    """Signs over the outputs, in closed form: the loss Hessian of softmax is SSᵀ with S = diag(√p)(I - √p√pᵀ)."""
    outputs = sum(p[0].numel() for p in layers.batch.predictions)
    few = outputs <= MOST_OUTPUTS
    if not few or (rtol > 0 and outputs > max(2, least_draws(layers.samples))):
        found, reached = draw_until(
            lambda: layers.squares(scores.mixed(random)),
            lambda value: rtol * abs(value),
            outputs if few else _MOST_DRAWS,
            or_not=few,
        )
        if reached or not few:
            return found
    value = sum(float(layers.squares(vector).double().sum()) for vector in scores.root())
    return Part(value, 0.0, outputs)


def _by_eigenvectors(layers: Layers, rtol: float, random: torch.Generator) -> Part:
    """Signs over the eigenvectors of each sample's loss Hessian."""
    values, vectors = torch.linalg.eigh(loss_hessians(layers.batch, layers.samples))
    outputs = values.shape[1]
    definite = float(values.min()) >= -_NEGATIVE * float(values.abs().max())
    spent = 0
    if definite and rtol > 0 and outputs > max(2, least_draws(layers.samples)):
        roots = vectors * values.clamp_min(0).sqrt()[:, None, :]

        def draw() -> Tensor:
            mixture = torch.einsum("nok,nk->no", roots, signs(values, random))
            return layers.squares(split(mixture, layers.batch))

        found, reached = draw_until(draw, lambda value: rtol * abs(value), outputs, or_not=True)
        if reached:
            return found
        spent = found.passes
    return Part(exact_of_batch(layers, values, vectors), 0.0, outputs + spent)
