"""Symmetric matrices with known eigenvalues, operators that go wrong, and how stated errors are held to the truth."""

import math

import torch

from losscope.operators.operator import LinearOperator

SPECTRA = {
    "flat": torch.linspace(1, 2, 40, dtype=torch.float64),
    "decaying": torch.tensor(0.7, dtype=torch.float64) ** torch.arange(40),
    "indefinite": torch.linspace(-1, 1.3, 40, dtype=torch.float64),
}


def matrix(values, dtype=torch.float64, seed=0):
    """A matrix with these eigenvalues, in random directions."""
    values = torch.as_tensor(values, dtype=torch.float64)
    random = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=random, dtype=torch.float64))
    full = turn @ torch.diag(values) @ turn.T
    return ((full + full.T) / 2).to(dtype)


class Broken(LinearOperator):
    """Its products are not numbers."""

    def __init__(self, size=100):
        super().__init__(size, torch.float64, torch.device("cpu"))

    def apply(self, vectors):
        return vectors * float("nan")


class Clock:
    """Time that passes by looking at it."""

    def __init__(self, step=1.0):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def scores(estimates, truth):
    """(value - truth) / stderr of each."""
    return torch.tensor([(e.value - truth) / e.stderr for e in estimates], dtype=torch.float64)


def calibration(estimates, truth):
    """√(mean squared error / mean stated variance): 1 where the stated errors are right on average."""
    squared = sum((e.value - truth) ** 2 for e in estimates)
    return math.sqrt(squared / sum(e.stderr**2 for e in estimates))


def unbiased(estimates, truth, sigmas=3.0):
    """Whether the mean over seeds agrees with the truth, within so many standard errors of itself."""
    values = torch.tensor([e.value for e in estimates], dtype=torch.float64)
    return abs(float(values.mean()) - truth) <= sigmas * float(values.std()) / math.sqrt(len(values))
