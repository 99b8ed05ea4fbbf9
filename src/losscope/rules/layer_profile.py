"""Gradients of the layers from the first to the last, relative to their weights."""

from dataclasses import dataclass

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import events_of, values

MIN_LAYERS = 4
FACTOR = 1e3
"""The derivative of the logistic function is at most 1/4: five saturating layers lose a factor of 4⁵ = 1024."""
SILENT = 1e-6
"""Far below single precision's share of any input that carries information."""
MONOTONE = 0.6
"""Least rank correlation between depth and relative gradient: a trend over the layers, not one odd layer."""


@dataclass(frozen=True, slots=True)
class Profile:
    """‖g‖/‖θ‖ of each weight, medians over the sampled updates, in the order of the layers."""

    names: tuple[str, ...]
    relative: Floats

    @property
    def first_over_last(self) -> float:
        """Median of the first quarter of the layers over the median of the last quarter."""
        quarter = max(1, len(self.names) // 4)
        last = float(np.median(self.relative[-quarter:]))
        return float(np.median(self.relative[:quarter])) / last if last > 0 else float("nan")

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of depth and relative gradient; 0 where all layers are alike."""
        if np.ptp(self.relative) == 0:
            return 0.0
        from scipy.stats import rankdata  # lazy: takes 0.3 s, and few networks have a suspicious profile

        ranks = rankdata(self.relative)
        return float(np.corrcoef(np.arange(len(self.names)), ranks)[0, 1])


def silent_inputs(recording: Recording, stream: str, *, always: bool = False) -> list[str]:
    """Weights without a gradient whose own bias has one, first layer first: what they multiply is zero.

    With δ the gradient at a layer's output and x its input, the weight gets δxᵀ and the bias δ: so δ arrives,
    and x carries nothing. ``stream`` picks the optimiser whose order of parameters is used. ``always``: at
    every sample, so that no update can have caused it.
    """
    held = [str(n) for e in events_of(recording, "optimizer", stream) for n in e.get("parameters") or ()]
    names = dict.fromkeys([*held, *recording.labels(signals.GRADIENT_NORM_PARAMETER)])
    found = []
    for name in (n for n in names if n.endswith("weight")):
        weight = values(recording, signals.GRADIENT_NORM_PARAMETER, name)
        bias = values(recording, signals.GRADIENT_NORM_PARAMETER, f"{name.removesuffix('weight')}bias")
        if (
            weight.size >= 3
            and bias.size >= 3
            and (np.max if always else np.median)(weight) < SILENT * np.median(bias)
        ):
            found.append(name)
    return found


def layer_profile(recording: Recording, stream: str) -> Profile | None:
    """The profile of the weights of a stream; ``None`` with fewer than four layers."""
    held = [str(n) for e in events_of(recording, "optimizer", stream) for n in e.get("parameters") or ()]
    recorded = recording.labels(signals.GRADIENT_NORM_PARAMETER)
    names = [n for n in dict.fromkeys(held) if n in recorded] or recorded
    weights = [n for n in names if n.endswith("weight")]
    kept = weights if len(weights) >= MIN_LAYERS else names
    pairs = [(name, ratio) for name in kept if (ratio := _relative(recording, name)) is not None]
    if len(pairs) < MIN_LAYERS:
        return None
    return Profile(tuple(name for name, _ in pairs), np.array([ratio for _, ratio in pairs]))


def _relative(recording: Recording, name: str) -> float | None:
    gradient = values(recording, signals.GRADIENT_NORM_PARAMETER, name)
    size = values(recording, signals.PARAMETER_NORM, name)
    if gradient.size == 0 or size.size == 0 or not np.median(size) > 0:
        return None
    return float(np.median(gradient) / np.median(size))
