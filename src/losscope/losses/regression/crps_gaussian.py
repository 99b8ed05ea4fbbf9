"""Continuous ranked probability score of a Gaussian forecast N(μ, σ²), in closed form; the network gives μ and ln σ.

CRPS = ∫ (F(x) - [x ≥ y])² dx = σ [w (2Φ(w) - 1) + 2φ(w) - 1/√π] with w = (y - μ)/σ. A strictly proper score in the
unit of the target: for σ → 0 it is the absolute error, and it stays finite on a hit, where the likelihood falls
without limit; an outlier costs |d| and not d². A forecast with the true N(μ, σ²) scores σ/√π on average, so that is
the chance level of Gaussian targets (predict the marginal) and the floor of Gaussian noise. ln σ is held within ±30.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import bounded, difference
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "CRPSGaussianLoss", "crps_gaussian_loss"]

_FITTED_ROWS, _FITTED_COLUMNS = 4096, 64


def crps_gaussian_loss(
    input: Tensor, target: Tensor, log_scale: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """CRPS of the forecast N(``input``, exp(``log_scale``)²) for ``target``, per element; the three have one shape.

    Gneiting et al. 2005, doi:10.1175/MWR2904.1, eq. 5. ``log_scale`` is held within ±30.

    >>> zero = torch.zeros(1)
    >>> round(float(crps_gaussian_loss(zero, zero, zero)), 4)  # (√2 - 1)/√π
    0.2337
    """
    same_shape(input, log_scale, ("input", "log_scale"))
    s = bounded(full_precision(log_scale)[0])
    d = difference(input, target)
    w = d * (-s).exp()
    bell = math.sqrt(2 / math.pi) * (-0.5 * w.square()).exp()
    return reduce(d * torch.erf(w / math.sqrt(2)) + s.exp() * (bell - 1 / math.sqrt(math.pi)), reduction)


CRPSGaussianLoss = as_module(crps_gaussian_loss, "CRPSGaussianLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """CRPS of the best constant Gaussian, column by column; σ/√π for Gaussian targets."""
    del options
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    step = max(1, rows.shape[1] // _FITTED_COLUMNS)
    fitted = [_best_constant(rows[:, i]) for i in range(0, rows.shape[1], step)]
    losses = np.stack(fitted, axis=1).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


def _best_constant(column: np.ndarray) -> np.ndarray:
    y = torch.as_tensor(column)
    some = y[:: max(1, len(y) // _FITTED_ROWS)]
    spread = float(some.std(correction=0))
    if spread == 0:
        return np.zeros_like(column)
    from scipy.optimize import minimize  # lazy: 0.2 s to import, and few losses need it

    def mean(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.enable_grad():
            p = torch.tensor(parameters, requires_grad=True)
            value = crps_gaussian_loss(p[0].expand(len(some)), some, p[1].expand(len(some)))
            (slope,) = torch.autograd.grad(value, p)
        return float(value.detach()), slope.numpy()

    start = np.array([float(some.mean()), math.log(spread)])
    mu, log_sigma = minimize(mean, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14}).x
    full = torch.full_like(y, mu), torch.full_like(y, log_sigma)
    return crps_gaussian_loss(full[0], y, full[1], reduction="none").numpy()


SPEC = LossSpec(
    name="crps_gaussian",
    title="continuous ranked probability score of a Gaussian",
    also=("CRPS",),
    family="regression",
    task="regression",
    formula=r"\sigma\left[w(2\Phi(w)-1)+2\varphi(w)-\tfrac1{\sqrt\pi}\right],"
    r"\quad w=\tfrac{y-\mu}{\sigma},\ \sigma=e^{s}",
    input_space="values",
    function=crps_gaussian_loss,
    module=CRPSGaussianLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("log_scale", "log-scale")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of a certain forecast that is right",
    elicits="Gaussian distribution",
    claims=(Claim("permutation-equivariant"),),
    chance=_chance,
    floor=zero_floor,
    references=("https://doi.org/10.1175/MWR2904.1", "https://doi.org/10.1198/016214506000001437"),
)
