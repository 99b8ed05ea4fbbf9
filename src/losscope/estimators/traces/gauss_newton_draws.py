"""The trace of a Gauss-Newton matrix to a tolerance, by as many random mixtures of the outputs as that takes.

tr Jᵀ H J = Σ_i E‖J_iᵀ S_i w_i‖² for random w_i with E w_i w_iᵀ = I, where S_i S_iᵀ = H_i is the loss Hessian of sample
i: in closed form for likelihoods, else of its eigenvectors. One backward pass gives the norms of all samples, each an
independent draw, so that few passes do. Of up to 128 outputs the w_i are drawn without replacement from C vectors that
are orthogonal: after K of C the variance is (1 - K/C) s²/K (Cochran, *Sampling Techniques*, 1977, theorem 2.4), and
after C passes the trace is exact.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget
from losscope.estimators.search import stages
from losscope.estimators.traces.draws import Draws, Part, draw_until
from losscope.estimators.traces.gauss_newton_trace import exact_of_batch
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.layers import Layers
from losscope.operators.likelihood import Scores, scores_of, signs
from losscope.operators.loss_hessian import MOST_OUTPUTS, loss_hessians, split
from losscope.operators.residual import PenaltyHessian
from losscope.operators.rounding import rounded

__all__ = ["gauss_newton_draws"]

_NEGATIVE = 1e-5  # of the largest eigenvalue of the loss Hessians: rounding
_MOST_DRAWS = 200.0


@without_autocast()
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
    random = torch.Generator().manual_seed(seed)
    budget = Budget(PenaltyHessian(objective), rtol=rtol, products=math.inf)

    def part(layers: Layers, share: float) -> Draws:
        return of_batch(objective, layers, share, budget, random)

    *_, (total, _) = stages(by_batch(objective, budget.rtol, part))
    error = math.sqrt(total.variance)
    return rounded(total.value, error, budget.used, budget.elapsed, budget.op.precision)


def by_batch(objective: Objective, rtol: float, part: Callable[[Layers, float], Draws]) -> Draws:
    """The sum over batches of ``part(layers, share)``: errors of that share of each make ``rtol`` of all.

    At a pause the batches that were seen stand for the others, with an infinite variance while there are such.
    """
    total, seen = Part(), 0.0
    used = [c for c in objective.coefficients if c]
    whole = sum(map(abs, used))
    share = rtol * whole / math.sqrt(sum(c * c for c in used))
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            seen += abs(coefficient)
            before = total
            for found, done in stages(part(Layers(objective, index), share)):
                total = Part(before.value, before.variance)
                total.add(coefficient, found)
                if not done:
                    yield total if seen == whole else Part(total.value * whole / seen, math.inf)
    return total


def of_batch(
    objective: Objective, layers: Layers, rtol: float, budget: Budget, random: torch.Generator
) -> Draws:
    """One batch: draws until ``rtol`` is met, or all outputs if that is not dearer."""
    scores = _likelihood(objective, layers)
    if scores is None:
        return _by_eigenvectors(layers, rtol, budget, random)
    return _by_scores(layers, scores, rtol, budget, random)


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


def _by_scores(layers: Layers, scores: Scores, rtol: float, budget: Budget, random: torch.Generator) -> Draws:
    """With S in closed form: diag(p) - ppᵀ of a softmax is SSᵀ with S = diag(√p)(I - √p√pᵀ)."""
    like = layers.batch.predictions

    def target(value: float) -> float:
        return rtol * abs(value)

    outputs = sum(p[0].numel() for p in like)
    if outputs > MOST_OUTPUTS:
        return draw_until(
            lambda: layers.squares(scores.rooted([signs(p, random) for p in like])),
            target,
            budget,
            most=_MOST_DRAWS,
        )
    mixtures = Mixtures(layers.samples, outputs, like[0], random)
    return draw_until(
        lambda: layers.squares(scores.rooted(split(mixtures.next(), layers.batch))),
        target,
        budget,
        of=outputs,
    )


def _by_eigenvectors(layers: Layers, rtol: float, budget: Budget, random: torch.Generator) -> Draws:
    """With S of the eigenvectors of each sample's loss Hessian."""
    values, vectors = torch.linalg.eigh(loss_hessians(layers.batch, layers.samples))
    outputs = values.shape[1]
    if float(values.min()) < -_NEGATIVE * float(values.abs().max()):
        budget.used += outputs
        return Part(exact_of_batch(layers, values, vectors))
    roots = vectors * values.clamp_min(0).sqrt()[:, None, :]
    mixtures = Mixtures(layers.samples, outputs, values, random)

    def draw() -> Tensor:
        return layers.squares(split(torch.einsum("nok,nk->no", roots, mixtures.next()), layers.batch))

    return (yield from draw_until(draw, lambda value: rtol * abs(value), budget, of=outputs))


class Mixtures:
    """Vectors w [n, C] that are drawn without replacement: for each sample C of them have Σ w wᵀ = C I.

    They are columns of a cosine transform in an order of its own for each sample, times random signs of its outputs.
    """

    def __init__(self, samples: int, outputs: int, like: Tensor, random: torch.Generator) -> None:
        k = torch.arange(outputs, dtype=torch.float64)
        waves = torch.cos(math.pi * (k + 0.5)[:, None] * k / outputs) * 2**0.5
        waves[:, 0] = 1.0
        self._waves = waves.to(like.detach())
        self._signs = signs(torch.empty(samples, outputs, dtype=like.dtype, device=like.device), random)
        self._order = torch.rand(samples, outputs, generator=random).argsort(1).to(like.device)
        self._used = 0

    def next(self) -> Tensor:
        """[n, C]."""
        column = self._order[:, self._used]
        self._used += 1
        return self._waves[:, column].T * self._signs
