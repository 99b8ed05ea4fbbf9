"""tr(HC), and the noise scale that weighs noise by curvature: B_noise = tr(HC) / ḡᵀHḡ.

A step η of a batch of B samples lowers the loss by η‖ḡ‖² - ½η²(ḡᵀHḡ + tr(HC)/B): noise costs as much as curvature does
where B = B_noise (McCandlish et al., 2018, arXiv:1812.06162, eq. 2.8). ½η² tr(HC)/B is also the loss that SGD hovers
above a minimum by with each step.

The samples are dealt into parts at random. With sums s_j of their gradients, K = SᵀHS costs one backward pass and one
Hessian-vector product for each part, and gives both quantities without bias, and their errors by the jackknife over
the parts (:mod:`losscope.estimators.noise.leave_out`). H is that of all data, taken as given.
"""

import time

import torch

from losscope.core.errors import BadUsage
from losscope.estimators.noise.gradient_noise_scale import (
    NoiseScale,
    as_scale,
    gradients_of_parts,
    rows_of,
)
from losscope.estimators.noise.leave_out import noise_and_signal
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.hessian import Hessian

__all__ = ["curvature_noise_scale"]


@without_autocast()
def curvature_noise_scale(objective: Objective, *, parts: int = 32, seed: int = 0) -> NoiseScale:
    """B_noise, with ``noise`` = tr(HC) and ``signal`` = ḡᵀHḡ, each ± its standard error.

    Cost: one backward pass and one Hessian-vector product for each of ``parts`` (as many as there are samples, at
    most). The error of tr(HC) is about √(2/parts) of it or less. Raises ``BadUsage`` where there are no per-sample
    gradients, or fewer than three samples.

    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x, t = torch.ones(4, 1), torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> found = curvature_noise_scale(Objective(line, torch.nn.functional.mse_loss, (x, t)))  # H = 2, C = 20/3
    >>> round(found.noise.value, 4), round(found.signal.value, 4)
    (13.3333, 46.6667)
    """
    began = time.perf_counter()
    covariance = GradientCovariance(objective, centred=False)
    count = covariance.samples
    k = min(parts, count)
    if k < 3:
        raise BadUsage("noise is told from signal by at least three parts", seen=f"{k} of {count} samples")
    hessian = Hessian(objective)
    sums, counts = gradients_of_parts(covariance, k, seed)
    images = [(hessian @ total.to(hessian.dtype)).double() for total in sums]
    whole = torch.stack(images).sum(0)
    squares = torch.stack([s @ h for s, h in zip(sums, images, strict=True)])
    along = torch.stack([s @ whole for s in sums])
    return as_scale(noise_and_signal(squares, along, counts), k, began, 2 * k, rows_of(objective))
