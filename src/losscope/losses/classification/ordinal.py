"""Ordered classes 0 < 1 < … < K-1 as K-1 questions "is y above k?"."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.losses.classification.true_class import class_rates
from losscope.losses.target_stats import TargetStats


def exceeded(target: Tensor, input: Tensor) -> Tensor:
    """[N, K-1, …] in the precision of ``input`` [N, K-1, …]: 1 where ``target`` [N, …] is above k, else 0.

    Looked up in a table, so that an index that is no class raises.
    """
    levels = input.shape[min(1, input.dim() - 1)]
    table = torch.ones(levels + 1, levels, dtype=input.dtype, device=input.device).tril(-1)
    return F.embedding(target, table).movedim(-1, min(1, input.dim() - 1))


def tail_rates(stats: TargetStats, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Shares q of the K classes, and of targets above k for k = 0 … K-2."""
    rates = class_rates(stats, options)
    return None if rates is None else (rates, np.clip(rates[::-1].cumsum()[::-1][1:], 0, 1))
