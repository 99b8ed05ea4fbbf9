"""The trace of a Hessian in parts: tr ∇²L = tr GaussNewton + tr R + tr ∇²penalty, each by what is cheapest for it.

1. The Gauss-Newton matrix of the data term: by backward passes that give the norms of all samples at once, as many as
   the tolerance takes (``gauss_newton_draws``).
2. R = Σ ∂ℓ/∂f ∇²f, the curvature of the network. Where the predictions are piece by piece linear in each parameter
   tensor (ReLU networks without shared weights) its diagonal is 0, and so is its trace. That is read off the
   operations that ran, not off the names of modules, and then tried: the block of R of one tensor, drawn at random, is
   applied to a random vector, which must give 0 to rounding. Otherwise tr R is sampled, with its standard error: by
   other random weights for each sample (``residual_draws``), so that few passes do.
3. The penalty: by Hutchinson's method as well, exact where its Hessian is diagonal.
"""

import math

import torch

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, Samples, caution
from losscope.estimators.search import Course, resumable, stages
from losscope.estimators.traces import gauss_newton_draws, residual_draws
from losscope.estimators.traces.draws import Draws, Part
from losscope.estimators.traces.gauss_newton_draws import by_batch
from losscope.estimators.vectors import Probes, dots
from losscope.objective.objective import Objective
from losscope.operators.layers import Layers
from losscope.operators.linearisation import Linearisation
from losscope.operators.multi_affine import offender
from losscope.operators.residual import PenaltyHessian, pulled_slope
from losscope.operators.rounding import rounded
from losscope.operators.trial import try_second_derivatives

__all__ = ["hessian_trace"]

_SHARE = 0.7  # of the tolerance for each of two parts: their errors add up in squares
_ROUNDING = 100  # roundings that a product of a vanishing block may differ from 0 by


@resumable
def hessian_trace(
    objective: Objective,
    rtol: float = 0.02,
    *,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr ∇²L ± its standard error (0: exact). ``products`` counts backward passes and products alike.

    Raises ``NotReadable`` or ``BadUsage``, with the reason, where layers give no per-sample gradients, where the loss
    couples samples or is not a function of the output; ``trace(Hessian(objective))`` takes another way then.

    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> hessian_trace(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]), penalty=1.0)).value
    7.0
    """
    budget = Budget(
        PenaltyHessian(objective), rtol=rtol, seconds=seconds, products=products, progress=progress
    )
    return (yield from course_of_parts(objective, budget, seed))


def course_of_parts(
    objective: Objective, budget: Budget, seed: int, most: float = math.inf
) -> Course[Estimate]:
    """The course behind ``hessian_trace``, after at most about ``most`` passes."""
    try_second_derivatives(objective)
    parts = _Parts(objective, budget, torch.Generator().manual_seed(seed), most)
    rtol = budget.rtol if objective.whole.penalty is None else _SHARE * budget.rtol
    found = Estimate(0.0, math.inf)
    for data, done in stages(by_batch(objective, rtol, parts.of_batch)):
        total = Part(data.value, data.variance)
        if objective.whole.penalty is not None:
            penalty, products = _penalty(objective, budget.rtol, total, seed)
            total.add(1.0, penalty)
            budget.used += products if done else 0
        found = rounded(
            total.value, math.sqrt(total.variance), budget.used, budget.elapsed, budget.op.precision
        )
        if not done:
            yield from budget.pause(found)
    return found


class _Parts:
    """The two parts of each batch; once, the claim that the second is 0 is tried."""

    def __init__(self, objective: Objective, budget: Budget, random: torch.Generator, most: float) -> None:
        self._objective, self._budget, self._random, self._most = objective, budget, random, most
        self._tried: bool | None = None

    def of_batch(self, layers: Layers, share: float) -> Draws:
        budget, flat, part = self._budget, self._flat(layers), Part()
        own = share if flat else _SHARE * share
        draws = gauss_newton_draws.of_batch(self._objective, layers, own, budget, self._random)
        for part, done in stages(draws):
            budget.report(math.sqrt(part.variance))
            if not done:
                yield part if flat else Part(part.value, math.inf)
        if flat:
            return part
        known, spread, left = part.value, part.variance, max(2, self._most - budget.used)
        draws = residual_draws.of_batch(
            layers, lambda value: _SHARE * share * abs(known + value), budget, left, self._random
        )
        for rest, done in stages(draws):
            part = Part(known + rest.value, spread + rest.variance)
            budget.report(math.sqrt(part.variance))
            if not done:
                yield part
        return part

    def _flat(self, layers: Layers) -> bool:
        """Whether the diagonal of R is 0: by the operations that ran, and on the first batch by trying it."""
        if self._tried is False or offender(layers.batch.predictions) is not None:
            return False
        if self._tried is None:
            self._budget.used += 1
            self._tried = no_curvature_in_one(layers.batch, self._random, self._objective.precision)
        return self._tried


def no_curvature_in_one(batch: Linearisation, random: torch.Generator, precision: torch.dtype) -> bool:
    """Whether R of one parameter tensor, drawn at random, takes a random vector to 0."""
    place = int(torch.randint(len(batch.parameters), (), generator=random))
    leaf, pulled = batch.parameters[place], pulled_slope(batch)[place]
    if not pulled.requires_grad:
        return True
    z = torch.randn(leaf.shape, generator=random, dtype=torch.float64).to(leaf)
    (found,) = torch.autograd.grad(pulled, leaf, z, allow_unused=True, retain_graph=True)
    if found is None:
        return True
    scale = float(pulled.detach().norm()) * float(z.norm()) / max(float(leaf.detach().norm()), 1e-30)
    return float(found.norm()) <= _ROUNDING * torch.finfo(precision).eps * scale


def _penalty(objective: Objective, rtol: float, known: Part, seed: int) -> tuple[Part, int]:
    """The trace of the penalty's Hessian by random signs, to the tolerance of the whole, and how many.

    Cheap, without the network.
    """
    budget = Budget(PenaltyHessian(objective), products=32 * LEAST)
    probes, samples = Probes(budget.op, seed), Samples()
    while True:
        vectors = probes.signs(budget.block(LEAST))
        samples.extend(dots(vectors, budget.multiply(vectors)).tolist())
        target = _SHARE * rtol * abs(known.value + samples.mean)
        if budget.late or samples.stderr * caution(len(samples)) <= target:
            return Part(samples.mean, samples.stderr**2), len(samples)
