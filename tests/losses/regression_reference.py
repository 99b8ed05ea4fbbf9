"""Residuals, targets and references that the value tests of regression losses share."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from losscope.losses.target_stats import TargetStats

D = torch.tensor([-1e4, -40.0, -3.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 3.0, 40.0, 1e4], dtype=torch.float64)
ZERO = torch.zeros_like(D)
RNG = np.random.default_rng(0)
SAMPLE = torch.as_tensor(RNG.gamma(2.0, size=501))


def close(seen: Tensor | float, expected: object, tolerance: float = 1e-10) -> bool:
    return bool(np.allclose(np.asarray(seen, dtype=float), np.asarray(expected), rtol=tolerance, atol=1e-13))


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def best_constant(loss: Callable[[Tensor], Tensor], low: float, high: float) -> float:
    """The minimiser of a convex mean loss, by ternary search."""
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if float(loss(tensor(a))) < float(loss(tensor(b))) else (a, high)
    return (low + high) / 2


def stats_of(target: np.ndarray) -> TargetStats:
    found = TargetStats()
    found.update(target, {"target": "real"})
    return found
