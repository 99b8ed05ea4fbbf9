"""The small interface of a probe, and the sampled update that it looks at."""

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from losscope.anatomy.anatomy import Anatomy
from losscope.core.finding import Where
from losscope.recording.signals import Signal


class Sink(Protocol):
    """Where measured values go. Tensors stay on their device and are fetched later, in batches."""

    def record(self, signal: Signal, label: str, step: int, value: float | Tensor) -> None: ...

    def record_many(self, signal: Signal, labels: Sequence[str], step: int, values: Tensor) -> None: ...

    def event(self, kind: str, /, **fields: Any) -> None: ...


@dataclass(slots=True, eq=False)
class Sample:
    """One update that is looked at closely. Tensors in it are the user's own: never write to them."""

    sink: Sink
    stream: str
    step: int
    anatomy: Anatomy | None = None
    names: Sequence[str] = ()
    parameters: Sequence[Tensor] = ()
    reached_names: Sequence[str] | None = None
    held_names: Sequence[str] = ()
    frozen_names: Sequence[str] = ()
    where: Where | None = None
    dropouts: tuple[int, int] = (0, 0)  # calls since the last look: off, on
    eval_in_train: Callable[[], bool] = bool  # whether some layer alone is in evaluation mode, by intention
    sites: Mapping[str, Where | None] = field(default_factory=dict)

    def record(self, signal: Signal, value: float | Tensor, label: str | None = None) -> None:
        self.sink.record(signal, self.stream if label is None else label, self.step, value)


class Probe(ABC):  # noqa: B024  (every moment is optional; a probe overrides the ones it needs)
    """Looks at sampled updates. All methods run without autograd and must not change anything.

    The order within one update is ``objective`` (a backward is about to start), ``gradients`` (the
    gradient that the optimiser will use stands in ``.grad``), ``before_update``, ``after_update``.
    ``following`` is called at the gradients of the very next update.
    """

    def objective(self, sample: Sample) -> None:
        return None

    def gradients(self, sample: Sample) -> None:
        return None

    def before_update(self, sample: Sample) -> None:
        return None

    def after_update(self, sample: Sample) -> None:
        return None

    def following(self, sample: Sample) -> None:
        return None
