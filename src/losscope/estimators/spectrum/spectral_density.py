"""The spectral density by stochastic Lanczos quadrature, with errors over probes and of the quadrature.

The density of eigenvalues φ(x) = (1/n) Σ δ(x-λᵢ) is the mean of the spectral measures of random unit vectors;
``quadrature`` gives each as nodes and weights. Every number that is read from it is the mean over probes, with

    stderr² = (spread over probes)² / probes + bias²,

where the bias of k steps is the change from k/2 steps to k for smooth functions (densities of a width, moments), which
is far more than the change that more steps would bring; and for shares of eigenvalues below x the smaller of two proven
bounds, per probe:

* Chebyshev–Markov–Stieltjes: the weights below x differ from μ(-∞, x) by at most the larger of the weights next to x;
* a Ritz vector with residual r has at most the share (r/δ)² of itself beyond a distance δ from its value, so that
  the error is at most 2η + η² with η = Σ_j |s_1j| min(1, r_j/|x-θ_j|): 0 where all values next to x have converged.

Nodes nearer to x than rounding can lie on either side; their weights are in the bias. So the share of negative
eigenvalues of a matrix with many zeros is uncertain by the share of the zeros.

Source: Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017), doi:10.1137/16M1104974; Ghorbani, Krishnan and Xiao,
ICML 2019, arXiv:1901.10159, for Hessians; the bounds: Szegő, *Orthogonal Polynomials*, theorem 3.41.1, and Parlett,
*The Symmetric Eigenvalue Problem*, section 11.7.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer, real
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.exact import dense
from losscope.estimators.search import Course, resumable
from losscope.estimators.spectrum.quadrature import Quadrature, eigenvalue_rule, quadrature
from losscope.estimators.vectors import Probes
from losscope.operators.operator import LinearOperator

__all__ = ["Curve", "SpectralDensity", "spectral_density"]

_DENSE = 1000  # size up to which all eigenvalues are made, where that takes no more products


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values [m] and standard errors [m] over a grid [m]."""

    grid: Tensor
    values: Tensor
    stderrs: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SpectralDensity:
    """The distribution of the n eigenvalues. ``nodes`` and ``weights`` [probes, k]: each row is one rule, of sum 1."""

    rule: Quadrature = field(repr=False)
    size: int
    products: int
    seconds: float

    @property
    def nodes(self) -> Tensor:
        """[probes, k], ascending."""
        return self.rule.nodes

    @property
    def weights(self) -> Tensor:
        """[probes, k]: squared first components; each row sums to 1."""
        return self.rule.weights

    @property
    def exact(self) -> bool:
        """Whether the nodes are all eigenvalues."""
        return self.rule.exact

    @property
    def moments(self) -> tuple[Estimate, ...]:
        """(1/n) tr Aᵖ for p = 0 … 4."""
        return tuple(self.moment(p) for p in range(5))

    @property
    def negative(self) -> Estimate:
        """The share of eigenvalues below 0."""
        return self.below(0.0)

    def moment(self, power: int) -> Estimate:
        """(1/n) tr Aᵖ."""
        return self.mean(lambda nodes: nodes**power)

    def mean(self, function: Callable[[Tensor], Tensor]) -> Estimate:
        """(1/n) tr f(A) for a smooth function that is applied to tensors of eigenvalues."""
        fine = (function(self.rule.nodes) * self.rule.weights).sum(1)
        coarse = (function(self.rule.coarse_nodes) * self.rule.coarse_weights).sum(1)
        value, error = _with_error(fine[:, None], (fine - coarse)[:, None].mean(0).abs(), self.exact)
        return Estimate(float(value), float(error), self.products, self.seconds)

    def density(self, grid: Sequence[float] | Tensor, width: float) -> Curve:
        """The density smoothed by a Gaussian of standard deviation ``width``, at the points of a grid."""
        width = real("width", width, 0, above=True)
        points = torch.as_tensor(grid, dtype=torch.float64)

        def smoothed(nodes: Tensor, weights: Tensor) -> Tensor:
            away = (points - nodes[:, :, None]) / width
            bells = torch.exp(-(away**2) / 2) / (width * math.sqrt(2 * math.pi))
            return (weights[:, :, None] * bells).sum(1)

        fine = smoothed(self.rule.nodes, self.rule.weights)
        coarse = smoothed(self.rule.coarse_nodes, self.rule.coarse_weights)
        return Curve(points, *_with_error(fine, (fine - coarse).mean(0).abs(), self.exact))

    def cdf(self, grid: Sequence[float] | Tensor) -> Curve:
        """The share of eigenvalues below each point of a grid."""
        points = torch.as_tensor(grid, dtype=torch.float64)
        shares, bounds = zip(*(self._shares(float(x)) for x in points), strict=True)
        return Curve(points, *_with_error(torch.stack(shares, 1), torch.stack(bounds, 1).mean(0), self.exact))

    def below(self, threshold: float) -> Estimate:
        """The share of eigenvalues below a threshold."""
        curve = self.cdf([threshold])
        return Estimate(float(curve.values), float(curve.stderrs), self.products, self.seconds)

    def _shares(self, x: float) -> tuple[Tensor, Tensor]:
        """μ(-∞, x) of each probe [p] and a bound of its error [p]."""
        rule, zero = self.rule, self.rule.weights.new_zeros(len(self.rule.weights), 1)
        under = rule.nodes < x
        near = (rule.nodes - x).abs() <= rule.rounding
        share = (rule.weights * under).sum(1)
        unsure = (rule.weights * near).sum(1)
        if rule.exact:
            return share, unsure
        place = under.sum(1, keepdim=True)
        beside = torch.cat([zero, rule.weights, zero], 1)
        markov = torch.maximum(beside.gather(1, place), beside.gather(1, place + 1))[:, 0]
        apart = ((rule.nodes - x).abs() - rule.rounding).clamp_min(torch.finfo(torch.float64).tiny)
        leak = (rule.weights.sqrt() * (rule.residuals / apart).clamp_max(1)).sum(1)
        return share, torch.maximum(torch.minimum(markov, 2 * leak + leak**2), unsure)


def _with_error(samples: Tensor, bias: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """Mean over probes [m] and its standard error [m], of samples [p, m]."""
    probes = len(samples)
    spread = torch.zeros_like(bias) if exact else samples.new_full(bias.shape, math.inf)
    if probes > 1:
        spread = samples.std(0) / math.sqrt(probes)
    return samples.mean(0), torch.hypot(spread, bias)


@resumable
def spectral_density(
    op: LinearOperator,
    *,
    probes: int = 10,
    steps: int = 30,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[SpectralDensity]:
    """The distribution of eigenvalues, by ``probes × steps`` products.

    Where n products are no more than that (and n ≤ 1000) all eigenvalues are made instead, unless ``exact=False``. Ends
    early after ``seconds`` or so many ``products``. ``memory`` limits the bytes of the vectors that are kept: probes
    that do not fit (steps × n numbers each) are run one after the other. ``progress(products, standard error of the
    mean eigenvalue)`` is called after each group of probes.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = spectral_density(Dense(torch.diag(torch.tensor([-1.0, 0.5, 2.0, 2.5]))))
    >>> found.moments[1].value, found.negative.value, found.exact
    (1.0, 0.25, True)
    """
    budget = Budget(op, seconds=seconds, products=products, progress=progress)
    probes, steps = integer("probes", probes), integer("steps", steps)
    whole = dense(budget, min(_DENSE, probes * steps)) if exact else None
    if whole is not None:
        rule = eigenvalue_rule(torch.linalg.eigvalsh(whole), budget.rounding)
        budget.report(0.0)
        return SpectralDensity(rule, op.size, budget.used, budget.elapsed)
    for found, done in densities(budget, Probes(op, seed), probes, steps, memory):
        budget.report(found.moment(1).stderr)
        if len(found.nodes) == probes and done:
            return found
        if not done or budget.overdue or budget.left < min(steps, op.size):
            yield from budget.pause(found)
    raise AssertionError("the last group ends the search")


def densities(
    budget: Budget, draw: Probes, probes: float, steps: int, memory: float, at_once: int = 16
) -> Iterator[tuple[SpectralDensity, bool]]:
    """The density after each group of probes, with True; with False, where the budget is spent within a group, that of
    the groups before, or of the shorter rules of the first.

    As many run at once as fit into ``memory``, at most ``at_once``.
    """
    each = budget.op.size * min(steps, budget.op.size) * torch.finfo(budget.working).bits / 8
    size, rule = max(1, min(at_once, int(memory / each))), None
    while rule is None or len(rule.nodes) < probes:
        before = rule
        group = int(min(size, probes - (0 if before is None else len(before.nodes))))
        for fresh, done in quadrature(budget, draw, group, steps):
            rule = fresh if before is None else before.joined(fresh) if done else before
            yield SpectralDensity(rule, budget.op.size, budget.used, budget.elapsed), done
