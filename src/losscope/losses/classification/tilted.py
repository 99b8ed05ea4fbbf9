"""The best constant prediction of cross-entropy plus a linear term in the probability of the true class."""

import numpy as np


def tilted_prediction(rates: np.ndarray, epsilon: float) -> np.ndarray:
    """The distribution p that minimises Σ q_k (-ln p_k + ε(1 - p_k)) for target rates q, ε ≥ -1.

    Stationarity gives p_k = q_k / (λ - εq_k); λ > max(0, ε max q) makes it sum to 1. The objective is convex in p,
    so this is the minimum. Newton's method on Σp(λ) - 1, which falls and is convex: from the left it is monotone.

    >>> tilted_prediction(np.array([0.5, 0.5]), 3.0)
    array([0.5, 0.5])
    """
    top = float(rates.max())
    tilt = epsilon * rates
    level = max(epsilon, 0.0) * top + top  # Σp ≥ 1 here when ε ≥ 0: the commonest class alone gives 1
    if epsilon < 0:
        level = 1 + epsilon  # Σ q/(λ + |ε|q) ≥ Σ q/(λ + |ε|) = 1
    for _ in range(200):
        gap = level - tilt
        shares = np.divide(rates, gap, out=np.zeros_like(rates), where=rates > 0)
        excess = float(shares.sum()) - 1
        slope = float(np.divide(shares, gap, out=np.zeros_like(rates), where=rates > 0).sum())
        if excess <= 1e-15 or slope == 0:
            break
        level += excess / slope
    shares = np.divide(rates, level - tilt, out=np.zeros_like(rates), where=rates > 0)
    return shares / shares.sum()
