"""Chance level and floor of losses that are logarithms of probabilities."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

Options = Mapping[str, Any]


def entropy(p: np.ndarray) -> float:
    """Shannon entropy in nats of a distribution, of which zeros add nothing."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Entropy in nats of each Bernoulli probability."""
    p = np.clip(p, 0.0, 1.0)
    q = 1 - p
    return -(p * np.log(np.where(p > 0, p, 1)) + q * np.log(np.where(q > 0, q, 1)))


def log_classes(options: Options) -> float | None:
    """ln K, what a uniform prediction costs: the value that counts as 1."""
    classes = options.get("num_classes", 0)
    return math.log(classes) if classes > 1 else None


def class_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Cross-entropy of the best constant prediction, per element.

    Without options this is the label entropy with the Miller-Madow correction (+ (m-1)/2n for m classes
    in n labels), because the plug-in entropy is too small. Class weights w and label smoothing ε change
    the target to a_k = w_k((1-ε)p_k + ε/K) with total A, divided by W = Σ w_k p_k under ``mean``; the
    best constant q = a/A gives A·H(a/A)/W.
    """
    if options.get("target") == "distribution":
        return _soft_chance(stats, options)
    n = float(stats.class_weight.sum())
    if n <= 0:
        return None
    classes = int(options.get("num_classes") or len(stats.class_weight))
    p = np.zeros(max(classes, len(stats.class_weight)))
    p[: len(stats.class_weight)] = stats.class_weight / n
    weights = _weights(options, len(p))
    smoothing = float(options.get("label_smoothing", 0.0))
    a = weights * ((1 - smoothing) * p + smoothing / len(p))
    normaliser = float((weights * p).sum()) if options.get("normalised_weights", True) else 1.0
    total = float(a.sum())
    if total <= 0 or normaliser <= 0:
        return None
    value = total * entropy(a / total) / normaliser
    if smoothing == 0:
        value += (np.count_nonzero(p) - 1) / (2 * n) * (total / normaliser)
        value = min(value, math.log(len(p)) * total / normaliser)
    losses = -weights * (1 - smoothing) * np.log(np.where(a > 0, a / total, 1)) / normaliser
    return Estimate(float(value), error_over_classes(p, losses, stats.count))


def error_over_classes(p: np.ndarray, losses: np.ndarray, n: float) -> float:
    """Standard error of the mean of n losses that are ``losses[k]`` with probability ``p[k]``."""
    variance = float((p * losses**2).sum() - (p * losses).sum() ** 2)
    return math.sqrt(max(variance, 0.0) / max(n, 1.0))


def _weights(options: Options, classes: int) -> np.ndarray:
    given = options.get("weight")
    weights = np.ones(classes)
    if given is not None and not isinstance(given, bool):
        values = np.asarray(given, dtype=np.float64)[:classes]
        weights[: len(values)] = values
    return weights


def _soft_chance(stats: TargetStats, options: Options) -> Estimate | None:
    if stats.columns.weight <= 0:
        return None
    smoothing = float(options.get("label_smoothing", 0.0))
    mean = stats.columns.mean
    weights = _weights(options, len(mean))
    a = weights * ((1 - smoothing) * mean + smoothing / len(mean))
    total = float(a.sum())
    if total <= 0:
        return None
    rows = stats.sample.rows
    smoothed = weights * ((1 - smoothing) * rows + smoothing / len(mean))
    losses = -(smoothed * np.log(np.where(a > 0, a / total, 1))).sum(1)
    return Estimate(total * entropy(a / total), of_rows(losses, stats))


def class_floor(options: Options, stats: TargetStats | None) -> float | None:
    """Smallest mean cross-entropy per element that any prediction can reach.

    Hard labels: 0. Label smoothing over K classes: the entropy of the smoothed target. Soft targets:
    their mean entropy. A softmax in front (``double_softmax``) confines the scores to the simplex, so
    the margin is at most 1: ln(e + K - 1) - 1 for hard labels.
    """
    classes, smoothing = options.get("num_classes"), float(options.get("label_smoothing", 0.0))
    if options.get("target") == "distribution":
        plain = stats is not None and stats.entropy_rows > 0 and smoothing == 0
        return stats.mean_entropy if plain and stats and options.get("weight") is None else None
    if not classes or (smoothing and options.get("weight") is not None):
        return 0.0 if not smoothing else None
    likely = 1 - smoothing + smoothing / classes
    rest = smoothing / classes
    if options.get("double_softmax"):
        margin = 1.0 if rest == 0 else min(1.0, math.log(likely / rest))
        return math.log(math.exp(margin) + classes - 1) - margin * likely
    if smoothing == 0:
        return 0.0
    return -likely * math.log(likely) - (classes - 1) * rest * math.log(rest)
