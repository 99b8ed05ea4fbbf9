"""Healthy training runs of many shapes, generated: what no rule may complain about.

Each shape returns a loss curve for a random generator. Length, noise, autocorrelation and unit are drawn too.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from losscope.rules.statistics.robust import Floats

Rng = np.random.Generator
Shape = Callable[[int, Rng], Floats]


def ar1(n: int, phi: float, rng: Rng) -> Floats:
    """Unit-variance AR(1) noise."""
    from scipy.signal import lfilter

    noise = rng.standard_normal(n) * np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def _noisy(level: Floats, rng: Rng, strength: float | None = None) -> Floats:
    """Multiplicative noise of random strength and memory."""
    scale = rng.uniform(0.01, 0.3) if strength is None else strength
    return level * np.exp(scale * ar1(len(level), rng.uniform(0.0, 0.9), rng))


def exponential(n: int, rng: Rng) -> Floats:
    end = rng.uniform(0.0, 0.9) * 2.3 + 1e-3
    return _noisy(end + (2.3 - end) * np.exp(-np.arange(n) / (n * rng.uniform(0.02, 0.5))), rng)


def power_law(n: int, rng: Rng) -> Floats:
    return _noisy(0.3 + 2.0 * (1 + np.arange(n) / rng.uniform(1, 50)) ** -rng.uniform(0.1, 1.0), rng)


def plateau_then_drop(n: int, rng: Rng) -> Floats:
    """Grokking: a long plateau below chance, a late drop."""
    drop = rng.uniform(0.5, 0.95) * n
    early = 1.0 + 1.3 * np.exp(-np.arange(n) / (0.05 * n))
    return _noisy(early / (1 + np.exp((np.arange(n) - drop) / (0.01 * n + 1))) + 0.01, rng)


def cosine_restarts(n: int, rng: Rng) -> Floats:
    period = n / rng.integers(2, 8)
    bump = 0.5 * (1 + np.cos(np.pi * (np.arange(n) % period) / period))
    level = 0.05 + 2.2 * np.exp(-np.arange(n) / (0.08 * n)) + rng.uniform(0.05, 0.4) * bump
    return _noisy(level, rng)


def batch_of_one(n: int, rng: Rng) -> Floats:
    """Loss of single samples: exponentially distributed about a falling level."""
    level = 0.3 + 2.0 * np.exp(-np.arange(n) / (0.2 * n))
    return level * rng.gamma(rng.uniform(0.7, 2.0), 1.0, n)


def warm_up(n: int, rng: Rng) -> Floats:
    """Learning-rate warm-up: flat at first, sometimes with a small bump, then falling."""
    begin = rng.uniform(0.02, 0.2) * n
    time = np.maximum(0, np.arange(n) - begin)
    bump = rng.uniform(0, 0.3) * np.exp(-(((np.arange(n) - begin) / (0.02 * n + 1)) ** 2))
    return _noisy(0.4 + 1.9 * np.exp(-time / (0.15 * n)) + bump, rng, 0.05)


def summed(n: int, rng: Rng) -> Floats:
    return 1e6 * exponential(n, rng)


def negative_likelihood(n: int, rng: Rng) -> Floats:
    """Negative log-density: falls through zero, additive noise."""
    level = -3.0 + 5.0 * np.exp(-np.arange(n) / (n * rng.uniform(0.05, 0.4)))
    return level + rng.uniform(0.02, 0.5) * ar1(n, rng.uniform(0, 0.9), rng)


def spiky(n: int, rng: Rng) -> Floats:
    """Rare loss spikes that recover within a few updates."""
    loss = exponential(n, rng)
    for at in rng.integers(n // 10, n, rng.integers(1, 6)):
        length = min(n - at, max(2, n // 100))
        loss[at : at + length] *= 1 + rng.uniform(1, 20) * np.exp(-np.arange(length) / max(1, length / 3))
    return loss


def fine_tuning(n: int, rng: Rng) -> Floats:
    """A pretrained model: hardly any fall, noise all over it."""
    return _noisy(1.2 - 0.05 * np.arange(n) / n, rng, rng.uniform(0.05, 0.3))


def tasks_in_sequence(n: int, rng: Rng) -> Floats:
    """A new task starts high and is learnt, several times."""
    length = n // int(rng.integers(2, 5))
    return _noisy(0.1 + 2.2 * np.exp(-(np.arange(n) % length) / (0.12 * length)), rng, 0.1)


def regularised(n: int, rng: Rng) -> Floats:
    """Augmentation or dropout is raised during training: the loss creeps up a little at the end."""
    creep = rng.uniform(0.0, 0.15) * np.maximum(0, np.arange(n) / n - 0.6)
    return _noisy(0.5 + 1.8 * np.exp(-np.arange(n) / (0.1 * n)) + creep, rng, 0.05)


def trending_epochs(n: int, rng: Rng) -> Floats:
    """Data in a fixed order: the loss oscillates with the epoch."""
    period = n / rng.integers(3, 30)
    level = 0.3 + 2.0 * np.exp(-np.arange(n) / (0.15 * n))
    return _noisy(level * (1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * np.arange(n) / period)), rng, 0.05)


def adversarial(n: int, rng: Rng) -> Floats:
    """One side of a GAN: the value wanders and swings (the runner plants a second side)."""
    swing = rng.uniform(0, 0.5) * np.sin(2 * np.pi * np.arange(n) / rng.uniform(20, 200))
    return np.exp(rng.uniform(-0.5, 1.0) * np.arange(n) / n + swing + 0.3 * ar1(n, 0.9, rng))


def bootstrapped(n: int, rng: Rng) -> Floats:
    """Value learning: the loss rises with the values that are learnt (the runner plants moving targets)."""
    return _noisy(0.01 * np.exp(rng.uniform(1, 5) * np.arange(n) / n), rng)


SHAPES: dict[str, Shape] = {
    function.__name__: function
    for function in (
        exponential,
        power_law,
        plateau_then_drop,
        cosine_restarts,
        batch_of_one,
        warm_up,
        summed,
        negative_likelihood,
        spiky,
        fine_tuning,
        tasks_in_sequence,
        regularised,
        trending_epochs,
        adversarial,
        bootstrapped,
    )
}


def healthy_validation(evaluations: int, rng: Rng) -> NDArray[np.float64]:
    """Validation of a run that does not overfit: falls to a level or along a power law, autocorrelated noise."""
    time = np.arange(evaluations)
    end = rng.uniform(0.1, 1.0)
    fall = (
        np.exp(-time / rng.uniform(0.5, evaluations))
        if rng.random() < 0.5
        else (1 + time) ** -rng.uniform(0.2, 1)
    )
    return end + 1.5 * fall + rng.uniform(0.002, 0.1) * ar1(evaluations, rng.uniform(0.0, 0.7), rng)
