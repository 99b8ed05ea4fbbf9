"""Up to which learning rate a live optimiser is stable on the quadratic around the present point.

A step θ ← θ - D m with a diagonal D = rate / denominator has the sharpness λ = λmax(D^½ H D^½), dimensionless, and is
stable in all directions of positive curvature if λ is below

* 2 for gradient descent;
* 2 + 2β for heavy-ball momentum, m ← βm + g (Cohen et al., 2021, arXiv:2103.00065; Goh, 2017);
* (2 + 2β)/(1 + 2β) for Nesterov's, in the same form;
* (2 + 2β)/(1 - β) for averaged gradients, m ← βm + (1 - β)g, as in Adam (Cohen et al., 2022, arXiv:2207.14484).

The preconditioner is taken as it is, since it changes slowly; that of Adam adapts, so that λ climbs to the limit and
stays ("adaptive edge of stability"). Training tends to the limit at constant rates and goes on there: λ near it is no
alarm, far above it the next steps overshoot, or the rate has just been raised. It says nothing about generalisation.

H is the Hessian of what the optimiser steps on: the loss as it was given. An objective is a mean over samples; of a
loss that sums, what is stepped on has ``objective.scale`` times the curvature (``Objective.as_given``).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.extremes.lanczos import Lanczos
from losscope.estimators.search import Course, resumable, stages
from losscope.objective.objective import Objective
from losscope.operators.congruence import Congruence
from losscope.operators.hessian import Hessian
from losscope.operators.operator import LinearOperator
from losscope.operators.optimiser_step import Step, read_step
from losscope.operators.perturbation import diagonal

__all__ = ["Stability", "stability"]

_BASIS = 60
_MEMORY = 2 << 30  # bytes of the vectors that a search keeps


@dataclass(frozen=True, slots=True)
class Stability:
    """``sharpness`` = λmax(D^½HD^½) ± a bound of its error, ``limit`` what it must stay below.

    ``factor``: all learning rates may be multiplied by it; infinite where no direction curves upwards. ``rates`` are
    the present ones of the param groups, ``stable_rates`` the largest stable ones in the same proportion. Without
    ``converged`` the search for λmax was ended by its limits: ``sharpness`` is then only a lower bound of it,
    ``factor`` an upper one, or NaN where no upward curvature has been met yet.
    """

    sharpness: Estimate
    limit: float
    factor: float
    rates: tuple[float, ...]
    stable_rates: tuple[float, ...]
    momentum: str
    converged: bool = True

    def __str__(self) -> str:
        if math.isnan(self.factor):
            return f"not known: the search for the sharpness was ended before it saw one ({self.momentum})"
        rates = ", ".join(f"{rate:.4g}" for rate in self.stable_rates)
        now = ", ".join(f"{rate:.4g}" for rate in self.rates)
        most = "" if self.converged else "at most "
        return f"stable up to {most}lr = {rates} (now {now}; {self.momentum})"


@resumable
def stability(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    *,
    preconditioner: Tensor | None = None,
    rtol: float = 1e-3,
    seconds: float = math.inf,
    products: int = 300,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Stability]:
    """The sharpness of an optimiser's step against its limit, and the learning rates up to which it is stable.

    SGD (momentum, dampening, Nesterov), Adam, AdamW, RMSprop and Adagrad are read with their state; for others
    ``preconditioner`` [P] is what their step divides by. Weight decay that is part of the gradient counts, unless the
    objective has a penalty, which then is taken to be it. The loss is stepped on as it was given: for one that sums,
    rates are those of the sum over a batch. Cost: some 20 Hessian-vector products.

    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x))  # H = 2 mean x² = 5
    >>> found = stability(objective, torch.optim.SGD(line.parameters(), lr=0.1, momentum=0.9))
    >>> str(found)
    'stable up to lr = 0.76 (now 0.1; heavy-ball momentum 0.9)'
    """
    given = preconditioner is not None
    step = read_step(optimizer, objective.parameters, objective.names, preconditioned=not given)
    if preconditioner is not None:
        step = replace(step, denominators=_shaped(preconditioner, objective))
    limits = {"seconds": seconds, "products": products, "progress": progress}
    return (yield from stability_of.course(step, objective, rtol=rtol, seed=seed, **limits))


@resumable
def stability_of(
    step: Step,
    objective: Objective,
    *,
    rtol: float = 1e-3,
    seconds: float = math.inf,
    products: int = 300,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Stability]:
    """The same of a step that was read before. The search keeps at most 60 vectors, or 2 GiB of them."""
    rates, denominators, decays = step.vectors(objective.parameters)
    largest = float(rates.max())
    if largest <= 0:
        raise BadUsage("all learning rates are 0", seen=step.name, remedy="look after the warm-up has begun")
    matrix: LinearOperator = Hessian(objective.as_given())
    if objective.whole.penalty is None and any(step.decays):
        matrix = matrix + diagonal(objective, decays.sqrt(), "weight decay")
    root = diagonal(objective, (rates / largest / denominators).sqrt(), "step")
    op = Congruence(matrix, root)
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    basis = min(_BASIS, max(6, _MEMORY // (op.size * op.dtype.itemsize)))
    found = of_sharpness(step, Estimate(0.0, math.inf), converged=False)
    for pairs, done in stages(Lanczos(op, 1, "LA", basis=basis, seed=seed).course(budget, rtol)):
        budget.used = pairs.products
        found = of_sharpness(step, pairs[0].scaled(largest), pairs.converged)
        if not done:
            yield from budget.pause(found)
    return found


def of_sharpness(step: Step, found: Estimate, converged: bool = True) -> Stability:
    """The limits that follow from λmax(D^½HD^½), or from what an unfinished search knows of it."""
    limit = limit_of(step)
    nothing = math.inf if converged else math.nan
    factor = limit / found.value if found.value > found.stderr else nothing
    words = "no momentum" if step.kind == "plain" else f"{_WORDS[step.kind]} {step.momentum:g}"
    stable = tuple(rate * factor for rate in step.learning_rates)
    return Stability(found, limit, factor, step.learning_rates, stable, words, converged)


def _shaped(preconditioner: Tensor, objective: Objective) -> tuple[Tensor, ...]:
    if preconditioner.shape != (objective.size,) or not bool((preconditioner > 0).all()):
        raise BadUsage(
            "a preconditioner is a vector of positive numbers, one for each parameter",
            seen=str(tuple(preconditioner.shape)),
        )
    return tuple(preconditioner.detach().split([p.numel() for p in objective.parameters]))


_WORDS = {
    "heavy-ball": "heavy-ball momentum",
    "nesterov": "Nesterov momentum",
    "average": "averaged gradients, β =",
}


def limit_of(step: Step) -> float:
    """What λmax(D^½HD^½) must stay below."""
    beta = step.momentum
    if step.kind == "heavy-ball":
        return 2 + 2 * beta
    if step.kind == "nesterov":
        return (2 + 2 * beta) / (1 + 2 * beta)
    if step.kind == "average":
        return (2 + 2 * beta) / (1 - beta)
    return 2.0
