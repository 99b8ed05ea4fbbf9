"""Noise and signal from the products of gradients of parts of the data, with errors by leaving out one part at a time.

Parts j = 1…k of n_j samples with gradient sums s_j, and any symmetric A. With K_jl = s_jᵀ A s_l,

    tr(A C)  = (Σ_j K_jj / n_j - K / N) / (k - 1),   K = Σ_jl K_jl,  N = Σ_j n_j,
    ḡᵀA ḡ = K / N² - tr(A C) / N

are unbiased for the covariance C of per-sample gradients and the true mean gradient ḡ of the distribution that the
samples are from: ‖∇L‖² of N samples alone is too large by tr(C)/N (McCandlish et al., 2018, arXiv:1812.06162, appendix
A.1, for two parts). Only the diagonal of K and its row sums are needed, also for leaving out one part, so that the
jackknife (Efron, 1982) costs nothing more.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class NoiseAndSignal:
    """(value, standard error) of tr(A C), of ḡᵀA ḡ, and of their ratio."""

    noise: tuple[float, float]
    signal: tuple[float, float]
    ratio: tuple[float, float]


def noise_and_signal(squares: Tensor, along: Tensor, counts: Tensor) -> NoiseAndSignal:
    """From K_jj [k], the row sums Σ_l K_jl [k] and the numbers of samples n_j [k]; k ≥ 3."""
    squares, along, counts = squares.double().cpu(), along.double().cpu(), counts.double().cpu()
    k, total, whole = len(counts), float(counts.sum()), float(along.sum())
    shares = squares / counts
    noise, signal = _both(shares.sum(), torch.tensor(whole), torch.tensor(total), k)
    left_noise, left_signal = _both(shares.sum() - shares, whole - 2 * along + squares, total - counts, k - 1)
    value_noise, value_signal = float(noise), float(signal)
    ratio = value_noise / value_signal if value_signal > 0 else math.inf
    spread = math.inf if math.isinf(ratio) else _jackknife(left_noise / left_signal)
    return NoiseAndSignal(
        (value_noise, _jackknife(left_noise)), (value_signal, _jackknife(left_signal)), (ratio, spread)
    )


def _both(shares: Tensor, whole: Tensor, total: Tensor, k: int) -> tuple[Tensor, Tensor]:
    noise = (shares - whole / total) / (k - 1)
    return noise, whole / total**2 - noise / total


def _jackknife(left_out: Tensor) -> float:
    """√((k-1)/k Σ (t_j - t̄)²)."""
    k = len(left_out)
    return math.sqrt((k - 1) / k * float((left_out - left_out.mean()).square().sum()))
