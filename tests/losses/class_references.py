"""Losses over classes by independent code: their definitions, their authors' programs, and plausible mistakes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import losscope.losses as catalogue
from losscope.losses.spec import LossSpec
from losscope.losses.target_stats import TargetStats

LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 15 + [3] * 4 + [4])
RATES = torch.bincount(LABELS).double() / len(LABELS)


def spec_of(name: str) -> LossSpec:
    return catalogue.get(name)


def call(spec: LossSpec, *arguments: Tensor, **options: Any) -> Tensor:
    assert spec.function is not None
    return spec.function(*arguments, **options)


def scores(rows: int = 6, classes: int = 5, seed: int = 0, scale: float = 1.5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, classes, generator=g, dtype=torch.float64) * scale
    return z, torch.randint(classes, (rows,), generator=g)


def stats_of(target: Tensor, options: dict[str, Any] | None = None) -> TargetStats:
    stats = TargetStats()
    stats.update(target.numpy(), options or {})
    return stats


def smallest(loss: Callable[[Tensor], Tensor], starts: list[Tensor]) -> float:
    """The smallest value of ``loss`` reached by L-BFGS from any start."""
    reached = []
    for start in starts:
        z = start.clone().double().requires_grad_()
        optimiser = torch.optim.LBFGS([z], max_iter=2000, tolerance_grad=1e-13, line_search_fn="strong_wolfe")

        def closure(z: Tensor = z, optimiser: Any = optimiser) -> Tensor:
            optimiser.zero_grad()
            value = loss(z)
            value.backward()
            return value

        optimiser.step(closure)
        reached.append(float(closure().detach()))
    return min(reached)


def by_definition(name: str, p: Tensor, y: Tensor) -> Tensor:
    """Each loss by its formula over probabilities, without the care for rounding."""
    t = F.one_hot(y, p.shape[1]).double()
    p_y = (p * t).sum(1)
    reverse = -(p * torch.where(t > 0, 0.0, -4.0)).sum(1)
    forms = {
        "active_passive": lambda: (t * p.log()).sum(1) / p.log().sum(1) + reverse,
        "brier": lambda: ((p - t) ** 2).sum(1),
        "generalised_cross_entropy": lambda: (1 - p_y**0.7) / 0.7,
        "poly1": lambda: -p_y.log() + 1 - p_y,
        "probability_mae": lambda: (p - t).abs().sum(1),
        "spherical": lambda: 1 - F.cosine_similarity(p, t),
        "symmetric_cross_entropy": lambda: -0.1 * (t * p.log()).sum(1) + reverse,
        "taylor_cross_entropy": lambda: (1 - p_y) + (1 - p_y) ** 2 / 2,
    }
    return forms[name]()


COUNTS = (50.0, 30.0, 15.0, 4.0, 1.0)


def asl_of_the_authors(z: Tensor, t: Tensor) -> Tensor:
    """Ridnik et al.: AsymmetricLoss.forward with γ₋ = 4, γ₊ = 1, clip = 0.05, unreduced."""
    xs_pos = torch.sigmoid(z)
    xs_neg = (1 - xs_pos + 0.05).clamp(max=1)
    losses = t * torch.log(xs_pos.clamp(min=1e-8)) + (1 - t) * torch.log(xs_neg.clamp(min=1e-8))
    pt = xs_pos * t + xs_neg * (1 - t)
    return -losses * torch.pow(1 - pt, 1 * t + 4 * (1 - t))


def zlpr_by_loops(z: Tensor, t: Tensor) -> Tensor:
    rows = []
    for scores_of, labels in zip(z.tolist(), t.tolist(), strict=True):
        below = sum(math.exp(s) for s, y in zip(scores_of, labels, strict=True) if y == 0)
        above = sum(math.exp(-s) for s, y in zip(scores_of, labels, strict=True) if y == 1)
        rows.append(math.log(1 + below) + math.log(1 + above))
    return torch.tensor(rows, dtype=torch.float64)


def ldam_of_the_authors(z: Tensor, y: Tensor) -> Tensor:
    """Cao et al.: LDAMLoss with max_m = 0.5, s = 30."""
    margins = 1.0 / np.sqrt(np.sqrt(np.array(COUNTS)))
    margins = torch.from_numpy(margins * (0.5 / margins.max()))
    index = F.one_hot(y, 5).bool()
    shifted = z - (margins[None] * index).sum(1, keepdim=True)
    return F.cross_entropy(30 * torch.where(index, shifted, z), y, reduction="none")


def class_balanced_of_the_authors(z: Tensor, y: Tensor) -> Tensor:
    """Cui et al.: weights of CB_loss with β = 0.999."""
    effective = 1.0 - np.power(0.999, np.array(COUNTS))
    weights = (1.0 - 0.999) / effective
    weights = torch.from_numpy(weights / weights.sum() * 5)
    return weights[y] * F.cross_entropy(z, y, reduction="none")


def corn_by_conditional_sets(z: Tensor, y: Tensor) -> Tensor:
    """Shi et al.: for each level a binary cross-entropy over the samples with y ≥ k."""
    total = torch.zeros(len(z), dtype=torch.float64)
    for k in range(4):
        inside = y > k - 1
        label = (y > k).double()
        log_p = F.logsigmoid(z[:, k])
        total -= torch.where(inside, label * log_p + (1 - label) * (log_p - z[:, k]), 0.0)
    return total


def coral_of_the_authors(z: Tensor, y: Tensor) -> Tensor:
    levels = torch.tensor([[1.0] * int(c) + [0.0] * (4 - int(c)) for c in y], dtype=torch.float64)
    return -((F.logsigmoid(z) * levels + (F.logsigmoid(z) - z) * (1 - levels)).sum(1))


def tempered_by_fixed_point(z: Tensor, y: Tensor) -> Tensor:
    """Amid et al.: normalisation by their fixed-point iteration, loss for one-hot labels, t1 = 0.8, t2 = 1.2."""
    t1, t2 = 0.8, 1.2

    def exp_t(u: Tensor) -> Tensor:
        return (1 + (1 - t2) * u).relu() ** (1 / (1 - t2))

    def log_t(u: Tensor, t: float) -> Tensor:
        return (u ** (1 - t) - 1) / (1 - t)

    top = z.amax(1, keepdim=True)
    start = z - top
    scaled = start
    for _ in range(200):
        scaled = start * exp_t(scaled).sum(1, keepdim=True) ** (1 - t2)
    p = exp_t(z + log_t(1 / exp_t(scaled).sum(1, keepdim=True), t2) - top)
    t = F.one_hot(y, 5).double()
    first = t * (log_t(t + 1e-300, t1) - log_t(p, t1))
    return (first - (t ** (2 - t1) - p ** (2 - t1)) / (2 - t1)).sum(1)


Z, Y = scores(12, seed=4)
Z4 = Z[:, :4]
BITS = (torch.randn(12, 5, generator=torch.Generator().manual_seed(5)) > 0).double()
THETA = torch.tensor([-1.5, -0.2, 0.3, 2.0], dtype=torch.float64)
WIDE = torch.cat([torch.tensor([-torch.inf]), THETA, torch.tensor([torch.inf])])
HOT = F.one_hot(Y, 5).double()
PRIOR = torch.tensor(COUNTS, dtype=torch.float64) / 100

# name: arguments, options, the same by independent code, and a plausible mistake that must show
KNOWN: dict[str, tuple[tuple[Tensor, ...], dict[str, Any], Callable[[], Tensor], Callable[[], Tensor]]] = {
    "asymmetric": ((Z, BITS), {}, lambda: asl_of_the_authors(Z, BITS),
                   lambda: asl_of_the_authors(Z, 1 - BITS)),
    "zlpr": ((Z, BITS), {}, lambda: zlpr_by_loops(Z, BITS),
             lambda: (Z - 99 * BITS).logsumexp(1) + (-Z - 99 * (1 - BITS)).logsumexp(1)),
    "binary_brier": ((Z, BITS), {}, lambda: F.mse_loss(Z.sigmoid(), BITS, reduction="none"),
                     lambda: (Z.sigmoid() - BITS).abs() + 0.0),
    "logit_adjusted_cross_entropy": ((Z, Y), {"counts": COUNTS, "tau": 0.5},
                                     lambda: F.cross_entropy(Z + 0.5 * PRIOR.log(), Y, reduction="none"),
                                     lambda: F.cross_entropy(Z - 0.5 * PRIOR.log(), Y, reduction="none")),
    "ldam": ((Z, Y), {"counts": COUNTS}, lambda: ldam_of_the_authors(Z, Y),
             lambda: F.cross_entropy(30 * (Z - 0.5 * PRIOR.rsqrt().sqrt() * 0.1**0.5), Y, reduction="none")),
    "class_balanced_cross_entropy": ((Z, Y), {"counts": COUNTS}, lambda: class_balanced_of_the_authors(Z, Y),
                                     lambda: F.cross_entropy(Z, Y, weight=1 / PRIOR, reduction="none")),
    "corn": ((Z4, Y), {}, lambda: corn_by_conditional_sets(Z4, Y), lambda: coral_of_the_authors(Z4, Y)),
    "coral_ordinal": ((Z4, Y), {}, lambda: coral_of_the_authors(Z4, Y),
                      lambda: coral_of_the_authors(Z4, (Y + 1).clamp(max=4))),
    "cumulative_link": ((Z[:, 0], Y, THETA), {},
                        lambda: -((WIDE[Y + 1] - Z[:, 0]).sigmoid() - (WIDE[Y] - Z[:, 0]).sigmoid()).log(),
                        lambda: -((WIDE[Y + 1] + Z[:, 0]).sigmoid() - (WIDE[Y] + Z[:, 0]).sigmoid()).log()),
    "squared_emd": ((Z, Y), {}, lambda: (Z.softmax(1) - HOT).cumsum(1).square().sum(1),
                    lambda: (Z.softmax(1) - HOT).square().sum(1)),
    "bi_tempered_logistic": ((Z, Y), {}, lambda: tempered_by_fixed_point(Z, Y),
                             lambda: -((Z.softmax(1) * HOT).sum(1) ** 0.2 - 1) / 0.2),
    "active_passive": ((Z, Y), {}, lambda: by_definition("active_passive", Z.softmax(1), Y),
                       lambda: -Z.log_softmax(1).gather(1, Y[:, None])[:, 0] + 4 * (1 - (Z.softmax(1) * HOT).sum(1))),
    "brier": ((Z, Y), {}, lambda: by_definition("brier", Z.softmax(1), Y),
              lambda: F.mse_loss(Z.softmax(1), HOT, reduction="none").mean(1)),
    "generalised_cross_entropy": ((Z, Y), {}, lambda: by_definition("generalised_cross_entropy", Z.softmax(1), Y),
                                  lambda: (1 - (Z.softmax(1) * HOT).sum(1)) ** 0.7 / 0.7),
    "poly1": ((Z, Y), {}, lambda: by_definition("poly1", Z.softmax(1), Y),
              lambda: F.cross_entropy(Z, Y, reduction="none") + (Z.softmax(1) * HOT).sum(1)),
    "probability_mae": ((Z, Y), {}, lambda: by_definition("probability_mae", Z.softmax(1), Y),
                        lambda: F.l1_loss(Z.softmax(1), HOT, reduction="none").mean(1)),
    "spherical": ((Z, Y), {}, lambda: by_definition("spherical", Z.softmax(1), Y),
                  lambda: 1 - F.cosine_similarity(Z, HOT)),
    "symmetric_cross_entropy": ((Z, Y), {}, lambda: by_definition("symmetric_cross_entropy", Z.softmax(1), Y),
                                lambda: F.cross_entropy(Z, Y, reduction="none") + by_definition(
                                    "symmetric_cross_entropy", Z.softmax(1), Y)),
    "taylor_cross_entropy": ((Z, Y), {}, lambda: by_definition("taylor_cross_entropy", Z.softmax(1), Y),
                             lambda: F.cross_entropy(Z, Y, reduction="none")),
}  # fmt: skip
