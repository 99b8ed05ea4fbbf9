"""How the levels and derivatives of a contract are called: what a caller has no need to give has a default."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.losses.target_stats import TargetStats

Options = Mapping[str, Any]
_TARGETS = {
    **dict.fromkeys(("class-index", "class-index-map", "ordinal-index", "class-number"), "class"),
    **dict.fromkeys(("binary", "binary-label", "mask", "unit"), "binary"),
    **dict.fromkeys(("one-hot", "distribution"), "distribution"),
}


def of_chance(
    rule: Callable[[TargetStats, Options], Estimate | None], kind: str
) -> Callable[..., Estimate | None]:
    """``chance(targets, options)``; targets are statistics, or themselves, of the kind that the loss takes."""

    def level(targets: TargetStats | Tensor | np.ndarray, options: Options | None = None) -> Estimate | None:
        known = options or {}
        if isinstance(targets, TargetStats):
            return rule(targets, known)
        values = targets.detach().cpu().numpy() if isinstance(targets, Tensor) else np.asarray(targets)
        known = {"target": _TARGETS.get(kind, "real"), **known}
        stats = TargetStats()
        stats.update(values, known)
        return rule(stats, known)

    return level


def of_floor(
    rule: Callable[[Options, TargetStats | None], float | None],
) -> Callable[..., float | None]:
    """``floor(options, stats)``."""

    def level(options: Options | None = None, stats: TargetStats | None = None) -> float | None:
        return rule(options or {}, stats)

    return level


def of_derivative(rule: Callable[[Tensor, Any, Options], Tensor]) -> Callable[..., Tensor]:
    """``gradient(prediction, target, options)`` or ``logit_hessian(…)``, which may not need the target."""

    def of(prediction: Tensor, target: Tensor | None = None, options: Options | None = None) -> Tensor:
        return rule(prediction, target, options or {})

    return of
