"""The gradient noise scale B_simple = tr(C) / ‖ḡ‖²: the batch size at which noise and gradient are of one size.

Below it noise dominates a step and twice the batch saves nearly half of the steps; far above it larger batches save
few: it estimates the critical batch size (McCandlish et al., 2018, arXiv:1812.06162, eq. 2.9). C is the covariance of
per-sample gradients and ḡ the gradient of the distribution that the data are a sample of; both are estimated without
bias (:mod:`losscope.estimators.noise.leave_out`), since ‖∇L‖² of N samples is too large by tr(C)/N.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.errors import BadUsage, NotReadable
from losscope.core.estimate import Estimate
from losscope.estimators.noise.leave_out import NoiseAndSignal, noise_and_signal
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.layers import Layers

__all__ = ["NoiseScale", "gradient_noise_scale", "noise_scale_from_norms"]

_LEAST = 3


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """``scale`` = ``noise`` / ``signal``: tr(C) / ‖ḡ‖², or tr(HC) / ḡᵀHḡ.

    Standard errors are by the jackknife over ``parts`` of the data. ``scale`` is infinite where the signal is not
    above 0: then these data do not tell a gradient from noise, and any batch size up to theirs is noisy.

    The scale is a number of samples where ``each`` is 1. Of a network that gives its predictions in rows (tokens of
    sequences, say) it is one of rows: ``each`` of them in a sample, ``count`` in all, taken for independent.
    """

    scale: Estimate
    noise: Estimate
    signal: Estimate
    parts: int
    count: int = 0
    each: float = 1.0


@without_autocast()
def gradient_noise_scale(objective: Objective, *, samples: bool = True) -> NoiseScale:
    """B_simple of an objective. A penalty adds to the gradient and not to the noise.

    By per-sample gradients from the layers, at the cost of about four gradients; where there are none (batch
    normalisation in training mode), or with ``samples=False``, by the gradients of the objective's batches. Raises
    ``BadUsage`` with fewer than three samples, or batches.

    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x, t = torch.ones(4, 1), torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> found = gradient_noise_scale(Objective(line, torch.nn.functional.mse_loss, (x, t)))  # of -2, -4, -6, -8
    >>> round(found.noise.value, 4), round(found.signal.value, 4)  # 20/3, and 25 - 20/3/4
    (6.6667, 23.3333)
    """
    began = time.perf_counter()
    if samples:
        try:
            return _scale(*_by_samples(objective), began, 4, rows_of(objective))
        except NotReadable:
            if sum(1 for c in objective.coefficients if c) < _LEAST:
                raise
    squares, along, counts = _by_batches(objective)
    return _scale(squares, along, counts, began, len(counts), (int(counts.sum()), 1.0))


@without_autocast()
def noise_scale_of_parts(objective: Objective, *, parts: int = 16, seed: int = 0) -> NoiseScale:
    """B_simple by the gradients of random parts of the data, for networks without per-sample gradients by layers.

    Cost: one backward pass for each part. The error of tr(C) is about √(2/parts) of it or less. Where samples meet, as
    in batch normalisation in training mode, it is not the noise of batches: ask :func:`gradient_noise_scale`.
    """
    began = time.perf_counter()
    covariance = GradientCovariance(objective, centred=False)
    k = min(parts, covariance.samples)
    if k < _LEAST:
        raise BadUsage("a noise scale takes at least three samples", seen=str(covariance.samples))
    sums, counts = gradients_of_parts(covariance, k, seed)
    mean = torch.stack(sums).sum(0)
    squares, along = (torch.stack([s @ s for s in sums]), torch.stack([s @ mean for s in sums]))
    return _scale(squares, along, counts, began, k, rows_of(objective))


def noise_scale_from_norms(
    small: Sequence[float], large: Sequence[float], small_batch: float, large_batch: float
) -> NoiseScale:
    """B_simple from squared gradient norms at two batch sizes, step by step: of one worker, and of the mean of all.

    ‖ḡ‖² ≈ (B‖G_B‖² - b‖G_b‖²)/(B - b) and tr C ≈ (‖G_b‖² - ‖G_B‖²)/(1/b - 1/B), each averaged before the ratio is
    taken (McCandlish et al., appendix A.1). The jackknife leaves out one step at a time and takes steps for
    independent.
    """
    one, other = torch.as_tensor(small, dtype=torch.float64), torch.as_tensor(large, dtype=torch.float64)
    if len(one) != len(other) or len(one) < _LEAST or not 0 < small_batch < large_batch:
        raise BadUsage(
            "two series of squared norms of one length from three, of a smaller and a larger batch",
            seen=f"{len(one)} and {len(other)} norms, batches {small_batch} and {large_batch}",
        )
    began = time.perf_counter()
    signal = (large_batch * other - small_batch * one) / (large_batch - small_batch)
    noise = (one - other) / (1 / small_batch - 1 / large_batch)
    k = len(one)
    left_noise, left_signal = (noise.sum() - noise) / (k - 1), (signal.sum() - signal) / (k - 1)
    ratio = float(noise.mean() / signal.mean()) if float(signal.mean()) > 0 else math.inf
    left = left_noise / left_signal
    spread = math.sqrt((k - 1) / k * float((left - left.mean()).square().sum()))
    seconds = time.perf_counter() - began

    def mean(values: Tensor) -> Estimate:
        return Estimate(float(values.mean()), float(values.std()) / math.sqrt(k), 0, seconds)

    scale = Estimate(ratio, math.inf if math.isinf(ratio) else spread, 0, seconds)
    return NoiseScale(scale, mean(noise), mean(signal), k)


def _by_samples(objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
    """‖h_i‖², h_i · Σ h and 1 for every sample, of per-sample gradients h_i with the penalty's."""
    covariance = GradientCovariance(objective, centred=False)
    count = covariance.samples
    if count < _LEAST:
        raise BadUsage("a noise scale takes at least three samples", seen=str(count))
    squares = []
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            layers = Layers(objective, index)
            slope = [s.detach() * (coefficient * count) for s in layers.batch.slope]
            squares.append(layers.squares(slope).double().cpu())
    penalty = penalty_gradient(objective)
    mean = objective.gradient().double()
    block = torch.stack([mean, penalty], 1).to(objective.parameters[0].dtype)
    along = covariance.transpose(block).double().cpu() * count**0.5
    own, shift = torch.cat(squares), float(penalty.square().sum())
    with_penalty = own + 2 * along[:, 1] + shift
    rows = count * (along[:, 0] + float(mean @ penalty))
    return with_penalty, rows, torch.ones(count, dtype=torch.float64)


def _by_batches(objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
    """The same with a batch for a sample: its gradient counts as often as it has samples."""
    used = [i for i, c in enumerate(objective.coefficients) if c]
    if len(used) < _LEAST:
        raise BadUsage(
            "noise is told from signal by at least three batches",
            seen=str(len(used)),
            remedy="give the data in more batches",
        )
    penalty, sums, counts = penalty_gradient(objective), [], []
    whole = sum(objective.batches[i].samples for i in used)
    for i in used:
        value = objective.loss_of(i)
        found = torch.autograd.grad(value, objective.parameters, allow_unused=True, materialize_grads=True)
        gradient = torch.cat([g.reshape(-1) for g in found]).double()
        count = objective.batches[i].samples
        sums.append(gradient * objective.coefficients[i] * whole + penalty * count)
        counts.append(count)
    block = torch.stack(sums, 1)
    return (
        block.square().sum(0),
        block.T @ block.sum(1),
        torch.tensor(counts, dtype=torch.float64),
    )


def gradients_of_parts(covariance: GradientCovariance, parts: int, seed: int) -> tuple[list[Tensor], Tensor]:
    """Sums of the gradients [P] of the samples of each part, dealt at random, and how many these are [parts].

    ``covariance`` is one that is not centred. Cost: one backward pass for each part.
    """
    whole, objective = covariance.samples, covariance.objective
    order = torch.randperm(whole, generator=torch.Generator().manual_seed(seed))
    part_of = torch.empty(whole, dtype=torch.long)
    part_of[order] = torch.arange(whole) % parts
    counts, penalty = torch.bincount(part_of, minlength=parts).double(), penalty_gradient(objective)
    sums = []
    for j in range(parts):
        z = (part_of == j).to(objective.parameters[0])[:, None] * whole**0.5
        sums.append(covariance.root(z)[:, 0].double() + penalty * float(counts[j]))
    return sums, counts


def penalty_gradient(objective: Objective) -> Tensor:
    """∇ of the penalty [P] in double precision."""
    if objective.whole.penalty is None:
        return torch.zeros(objective.size, dtype=torch.float64, device=objective.parameters[0].device)
    found = torch.autograd.grad(
        objective.penalty_of(), objective.parameters, allow_unused=True, materialize_grads=True
    )
    return torch.cat([g.reshape(-1) for g in found]).double()


def rows_of(objective: Objective) -> tuple[int, float]:
    """How many rows of predictions there are, the units of per-sample gradients, and how many in a sample."""
    rows = GradientCovariance(objective, centred=False).samples
    used = [b.samples for b, c in zip(objective.batches, objective.coefficients, strict=True) if c]
    return rows, rows / sum(used)


def _scale(
    squares: Tensor, along: Tensor, counts: Tensor, began: float, cost: int, rows: tuple[int, float]
) -> NoiseScale:
    return as_scale(noise_and_signal(squares, along, counts), len(counts), began, cost, rows)


def as_scale(
    found: NoiseAndSignal, parts: int, began: float, cost: int, rows: tuple[int, float]
) -> NoiseScale:
    """The parts as estimates."""
    seconds = time.perf_counter() - began
    ratio, noise, signal = (
        Estimate(*pair, cost, seconds) for pair in (found.ratio, found.noise, found.signal)
    )
    return NoiseScale(ratio, noise, signal, parts, *rows)
