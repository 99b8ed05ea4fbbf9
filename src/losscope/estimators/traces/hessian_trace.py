"""The trace of a Hessian in parts: tr ∇²L = tr GaussNewton + tr R + tr ∇²penalty, each by what is cheapest for it.

1. The Gauss-Newton matrix of the data term: by backward passes that give the norms of all samples at once, as many as
   the tolerance takes (``gauss_newton_draws``).
2. R = Σ ∂ℓ/∂f ∇²f, the curvature of the network. Where the predictions are piece by piece linear in each parameter
   tensor (ReLU networks without shared weights) its diagonal is 0, and so is its trace. That is read off the operations
   that ran, not off the names of modules, and then tried: the block of R of one tensor, drawn at random, is applied to a
   random vector, which must give 0 to rounding. Otherwise tr R is sampled by Hutchinson's method, with its standard
   error; it is small near a good fit, so that few samples do.
3. The penalty: by Hutchinson's method as well, exact where its Hessian is diagonal.
"""

import math

import torch

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, Samples, caution
from losscope.estimators.traces.gauss_newton_draws import Part, in_parts
from losscope.estimators.vectors import Probes, dots
from losscope.objective.objective import Objective
from losscope.operators.layers import Layers
from losscope.operators.linearisation import Linearisation
from losscope.operators.multi_affine import offender
from losscope.operators.residual import PenaltyHessian, Residual, pulled_slope

__all__ = ["hessian_trace"]

_SHARE = 0.7  # of the tolerance for each of two parts: their errors add up in squares
_ROUNDING = 100  # roundings that a product of a vanishing block may differ from 0 by


def hessian_trace(
    objective: Objective,
    rtol: float = 0.02,
    *,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Estimate:
    """tr ∇²L ± its standard error (0: exact). ``products`` counts backward passes and products alike.

    Raises ``NotReadable`` or ``BadUsage``, with the reason, where layers give no per-sample gradients, where the loss
    couples samples or is not a function of the output; ``trace(Hessian(objective))`` takes another way then.

    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> hessian_trace(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]), penalty=1.0)).value
    7.0
    """
    residual = Residual(objective)
    budget = Budget(residual, rtol=rtol, seconds=seconds, products=products, progress=progress)
    random = torch.Generator().manual_seed(seed)
    flatness = Flatness(random)
    total = in_parts(objective, _SHARE * rtol, random, flatness.visit)
    budget.used += total.passes + flatness.passes
    if objective.whole.penalty is not None:
        penalty = _sampled(Budget(PenaltyHessian(objective), products=4 * LEAST), total, _SHARE * rtol, seed + 1)
        total.add(1.0, penalty)
    budget.report(math.sqrt(total.variance))
    if not flatness.holds and not budget.late:
        total.add(1.0, _sampled(budget, total, _SHARE * rtol, seed + 2))
    elif not flatness.holds:
        total.variance = math.inf
    return Estimate(total.value, math.sqrt(total.variance), budget.used, budget.elapsed)


class Flatness:
    """Whether the diagonal of R is 0, as far as the batches that were seen tell. ``passes`` is what that took."""

    def __init__(self, random: torch.Generator) -> None:
        self.passes, self.holds, self._random = 0, True, random

    def visit(self, layers: Layers) -> None:
        """Look at the operations of one batch; the first of them is also tried."""
        if not self.holds:
            return
        self.holds = offender(layers.batch.predictions) is None
        if self.holds and not self.passes:
            self.passes += 1
            self.holds = no_curvature_in_one(layers.batch, self._random)


def no_curvature_in_one(batch: Linearisation, random: torch.Generator) -> bool:
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
    return float(found.norm()) <= _ROUNDING * torch.finfo(leaf.dtype).eps * scale


def _sampled(budget: Budget, known: Part, rtol: float, seed: int) -> Part:
    """A trace by random signs, to a tolerance of the sum of what is known and itself."""
    probes, samples, squares = Probes(budget.op, seed), Samples(), Samples()
    while True:
        vectors = probes.signs(max(1, budget.block(LEAST)))
        images = budget.multiply(vectors)
        samples.extend(dots(vectors, images).tolist())
        squares.extend(dots(images, images).tolist())
        target = rtol * max(abs(known.value + samples.mean), math.sqrt(squares.mean))
        budget.report(math.hypot(samples.stderr, math.sqrt(known.variance)))
        if budget.late or samples.stderr * caution(len(samples)) <= target:
            return Part(samples.mean, samples.stderr**2, len(samples))
