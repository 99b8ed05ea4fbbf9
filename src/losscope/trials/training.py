"""Training goes on from where a replay stands, as it was or with one thing changed."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from losscope.objective.batches import Batch
from losscope.trials.optimiser import ReplayedOptimizer

if TYPE_CHECKING:
    from losscope.trials.replay import Replay

Mode = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is different in an arm. ``rate`` multiplies learning rates, ``cleared`` says whether gradients are.

    ``mode`` surrounds every forward pass, ``batch(batch, update)`` replaces what an update learns from, ``state=False``
    begins without the optimiser's state, ``renewed=False`` keeps it where the run made another optimiser. ``settings``
    replaces settings that the optimiser's groups have, ``more`` are parameters that are trained beside those of the
    run. ``limit`` and ``scale`` are what gradients are clipped to and multiplied by, in place of what the run did.
    """

    rate: float = 1.0
    cleared: bool | None = None
    mode: Mode = nullcontext
    batch: Callable[[Batch, int], Batch] | None = None
    state: bool = True
    renewed: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: Sequence[Tensor] = ()
    limit: float | None = None
    scale: float | None = None


class Training:
    """Updates over the batches of ``places`` in turn, with random numbers that depend on ``seed`` alone."""

    def __init__(self, replay: "Replay", change: Change, seed: int, places: Sequence[int]) -> None:
        self._replay, self._change, self._seed, self._places = replay, change, seed, list(places)
        kept, steps = replay.window.optimizer, replay.window.steps
        assert kept is not None
        self._parameters = [*replay.parameters, *change.more]
        self._optimizer = ReplayedOptimizer(
            kept,
            self._parameters,
            steps[self._places[0]],
            change.rate,
            state=change.state,
            renewed=change.renewed,
            replaced=change.settings,
            more=len(change.more),
        )
        self._cleared = replay.cleared if change.cleared is None else change.cleared
        self._total: list[Tensor | None] = [None] * len(self._parameters)
        if not self._cleared and change.state:
            self._total[: len(replay.stale)] = replay.stale
        self._made, self._over = 0, False

    def go(self, updates: int) -> None:
        """So many updates more; none once the loss is not finite."""
        replay, change = self._replay, self._change
        for _ in range(updates):
            if self._over:
                return
            place = self._places[self._made % len(self._places)]
            batches = replay.batches[place]
            if change.batch is not None:
                batches = [change.batch(batch, self._made) for batch in batches]
            seed = 1000 * self._seed + self._made
            value, gradients = replay.gradient(batches, None, seed, change.mode, self._parameters)
            self._over = not math.isfinite(value)
            if self._over:
                return
            total = gradients if self._cleared else added(self._total, gradients)
            self._total = replay.scaled(total, change.limit, change.scale)
            self._optimizer.step(self._total, replay.window.steps[place])
            self._made += 1


def added(total: Sequence[Tensor | None], more: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Gradients on top of those that were there."""
    return [m if t is None else t if m is None else t + m for t, m in zip(total, more, strict=True)]


def times(gradients: Sequence[Tensor | None], factor: float) -> list[Tensor | None]:
    """Gradients times a factor."""
    return list(gradients) if factor == 1.0 else [None if g is None else g * factor for g in gradients]
