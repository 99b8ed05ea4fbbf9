"""The Fisher-Rao norm ‖θ‖²_fr = θᵀ F θ: the length of the parameters in the geometry of the function.

With F = E[∇ℓ ∇ℓᵀ] over the data it is E (∂ℓ/∂f · Jθ)² (Liang, Poggio, Rakhlin and Stokes, 2019, arXiv:1711.01530,
definition 2). For a network without biases whose activations are homogeneous (ReLU), Jθ = (L+1) f with L hidden layers
(Euler), so that ‖θ‖²_fr = (L+1)² E ⟨∂ℓ/∂f, f⟩² needs no Jacobian (their theorem 3.1). Two parameter vectors of the
same function along which it can be moved by rescaling of units have the same norm.
"""

import math
import time
from typing import Literal

import torch

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.linearisation import Linearisation, linearise
from losscope.operators.rounding import rounded
from losscope.operators.trial import believe

__all__ = ["fisher_rao_norm", "homogeneity"]

Kind = Literal["empirical", "exact"]


@without_autocast()
def fisher_rao_norm(
    objective: Objective, kind: Kind = "empirical", *, degree: float | None = None
) -> Estimate:
    """θᵀFθ, a closed form: stderr 0, or one rounding of half precision.

    ``kind``: "empirical", as in the paper, the second moment of per-sample gradients on the data; "exact", the
    Gauss-Newton matrix of the data term instead, which for likelihoods is the Fisher information. The penalty does
    not enter. ``degree`` is what Jθ = degree · f holds for, if you know it; without it Jθ is computed. Cost: about two
    gradients. Raises ``BadUsage`` where the loss is not a function of the output, or "empirical" has no samples.

    >>> line = torch.nn.Linear(1, 1, bias=False).double()
    >>> _ = torch.nn.init.constant_(line.weight, 3.0)
    >>> x = torch.tensor([[1.0], [2.0]]).double()
    >>> fisher_rao_norm(Objective(line, torch.nn.functional.mse_loss, (x, 0 * x))).value  # mean (2 f · f)²
    2754.0
    """
    if kind not in ("empirical", "exact"):
        raise BadUsage("a Fisher-Rao norm is empirical or exact", seen=repr(kind))
    began = time.perf_counter()
    if kind == "empirical" and degree is None:
        theta = objective.theta
        along = GradientCovariance(objective, centred=False).transpose(theta[:, None])
        value = float(along.double().square().sum())
    else:
        value = 0.0
        count = GradientCovariance(objective).samples if kind == "empirical" else 0
        for batch in linearise(objective):
            value += _of_batch(objective, batch, kind, degree, count)
    spent = time.perf_counter() - began
    return rounded(value, 0.0, 2 * len(objective.batches), spent, objective.precision)


def _of_batch(
    objective: Objective, batch: Linearisation, kind: Kind, degree: float | None, count: int
) -> float:
    """What one batch adds, with Jθ or degree · f."""
    outputs = [p.detach() for p in batch.predictions]
    moved = batch.push(objective.theta) if degree is None else [degree * f for f in outputs]
    if kind == "exact":
        believe(objective, batch)
        curved = batch.curve(moved)
        return batch.coefficient * sum(
            float((m.double() * c.double()).sum()) for m, c in zip(moved, curved, strict=True)
        )
    assert batch.samples is not None
    along = sum(
        (s.detach() * m).double().reshape(batch.samples, -1).sum(1)
        for s, m in zip(batch.slope, moved, strict=True)
    )
    scaled = batch.coefficient * count * torch.as_tensor(along)
    return float(scaled.square().sum()) / count


def homogeneity(objective: Objective) -> tuple[float, float]:
    """The degree k of f(cθ) = cᵏ f(θ) that fits best, ⟨Jθ, f⟩/⟨f, f⟩, and the relative residual ‖Jθ - k f‖/‖Jθ‖.

    0 residual: the network is homogeneous in all its trained parameters, and the closed form holds.
    """
    pairs = [
        (p.detach().double().reshape(-1), m.double().reshape(-1))
        for batch in linearise(objective)
        for p, m in zip(batch.predictions, batch.push(objective.theta), strict=True)
    ]
    f, moved = torch.cat([p for p, _ in pairs]), torch.cat([m for _, m in pairs])
    square, length = float(f @ f), float(moved.norm())
    if not square or not length:
        return 0.0, math.inf if length else 0.0
    degree = float(moved @ f) / square
    return degree, float((moved - degree * f).norm()) / length
