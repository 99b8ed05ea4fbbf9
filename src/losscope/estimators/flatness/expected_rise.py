"""By how much a loss rises on average if its parameters are perturbed: E L(θ+ε) - L(θ) for ε normal with covariance Σ.

Two ways, which check each other:

* second order: ½ tr(HΣ), by the trace of SᵀHS for a root S of Σ (:mod:`losscope.operators.perturbation`), or by
  ``hessian_trace`` for Σ = σ² I;
* directly, by Monte Carlo with antithetic pairs, ½(L(θ+ε) + L(θ-ε)) - L(θ), in which the slope cancels.

What is left between them is of fourth order, ⅛ Σ_ijkl ∂⁴L/∂θ_i∂θ_j∂θ_k∂θ_l Σ_ij Σ_kl and higher; for Σ = σ² I it is
σ⁴/8 Σ_ij ∂⁴L/∂θ_i²∂θ_j², exactly so for a polynomial of degree four. It is measured on the same ε, ½(L₊+L₋) - L - ½
εᵀHε, where the quadratic part cancels in every draw and with it nearly all of the variance.

Neither is a measure of how well a network generalises: an isotropic rise changes with the scale of the weights, for
the same function (Dinh et al., 2017, arXiv:1703.04933). ``element_scaled`` does not, nor ``filter_scaled`` if whole
layers are rescaled.
"""

import math
import time
from dataclasses import dataclass

import torch

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer
from losscope.estimators.samples import Samples
from losscope.estimators.traces.trace import trace
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.congruence import Congruence
from losscope.operators.hessian import Hessian
from losscope.operators.perturbation import Perturbation

__all__ = ["Rise", "expected_rise", "second_order_rise"]


@dataclass(frozen=True, slots=True)
class Rise:
    """``second`` = ½ tr(HΣ), ``direct`` by Monte Carlo, ``higher`` = what is beyond second order, on the same draws.

    ``not_finite`` counts pairs at which the loss was no finite number: then the mean does not exist as far as can be
    seen, and ``direct`` and ``higher`` are infinite.
    """

    second: Estimate
    direct: Estimate
    higher: Estimate
    not_finite: int
    perturbation: str

    @property
    def value(self) -> Estimate:
        """``second`` + ``higher``: the same as ``direct``, with a smaller error where the second is well known."""
        return Estimate(
            self.second.value + self.higher.value,
            math.hypot(self.second.stderr, self.higher.stderr),
            self.second.products + self.higher.products,
            self.second.seconds + self.higher.seconds,
        )


@without_autocast()
def expected_rise(
    objective: Objective,
    perturbation: Perturbation,
    *,
    pairs: int = 16,
    rtol: float = 0.05,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
) -> Rise:
    """E L(θ+ε) - L(θ), by second order and directly. The model, its buffers and the random state stay as they are.

    ``pairs`` of evaluations, each with one Hessian-vector product; ``rtol``, ``seconds`` and ``products`` limit the
    second-order part, and the pairs end, after two, when ``seconds`` are over. ``products`` of ``direct`` counts
    evaluations of the loss. Standard errors include the rounding of the loss.

    >>> from losscope.operators.perturbation import isotropic
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))
    >>> found = expected_rise(objective, isotropic(objective, 0.1))
    >>> round(found.second.value, 10), abs(found.higher.value) < 1e-12  # a quadratic has no higher orders
    (0.025, True)
    """
    pairs = integer("pairs", pairs, 2)  # a mean with its error
    if perturbation.objective is not objective:
        raise BadUsage("the perturbation is one of another objective", seen=repr(perturbation.objective))
    began, at, theta = time.perf_counter(), objective.value(), objective.theta
    if not math.isfinite(at):
        raise BadUsage("the loss is not a finite number here", seen=str(at))
    second = second_order_rise(
        objective, perturbation, rtol=rtol, seconds=seconds / 2, products=products, seed=seed
    )
    random = torch.Generator().manual_seed(seed + 1)
    hessian = Hessian(objective)
    direct, higher, lost, done = Samples(), Samples(), 0, 0
    while done < pairs and not (done >= 2 and time.perf_counter() - began >= seconds):
        eps = perturbation.draw(random)
        mean = (objective.value(theta + eps) + objective.value(theta - eps)) / 2
        done += 1
        if not math.isfinite(mean):
            lost += 1
            continue
        quadratic = 0.5 * float(eps.double() @ (hessian @ eps).double())
        direct.extend([mean - at])
        higher.extend([mean - at - quadratic])
    rounding = torch.finfo(objective.precision).eps * abs(at)
    spent = time.perf_counter() - began - second.seconds
    return Rise(
        second,
        _mean(direct, lost, rounding, 2 * done, spent),
        _mean(higher, lost, rounding, 3 * done, spent),
        lost,
        perturbation.name,
    )


def second_order_rise(
    objective: Objective,
    perturbation: Perturbation,
    *,
    rtol: float = 0.05,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
) -> Estimate:
    """½ tr(HΣ) ± its standard error (0: exact)."""
    hessian = Hessian(objective)
    limits = {"rtol": rtol, "seconds": seconds, "products": products, "seed": seed}
    if perturbation.sigma is not None:
        return trace(hessian, **limits).scaled(0.5 * perturbation.sigma**2)
    return trace(Congruence(hessian, perturbation), **limits).scaled(0.5)


def _mean(samples: Samples, lost: int, rounding: float, products: int, seconds: float) -> Estimate:
    if lost or len(samples) < 2:
        return Estimate(math.inf, math.inf, products, seconds)
    return Estimate(samples.mean, math.hypot(samples.stderr, rounding), products, seconds)
