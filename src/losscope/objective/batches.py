"""What an objective is a mean over: batches of inputs and targets, in the forms in which people hold them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.randomness import kept_randomness

_FORMS = "data is (inputs, targets), a dictionary of inputs, or an iterable of these"


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Positional and named inputs of the model, the target of the loss, and the number of samples."""

    inputs: tuple[Any, ...] = ()
    named: Mapping[str, Any] | None = None
    target: Any = None
    samples: int = 1

    def tensors(self) -> list[Tensor]:
        """All its tensors, in order."""
        found: list[Tensor] = []

        def look(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.moved(look)
        return found

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with ``move`` applied to every tensor."""
        return replace(
            self,
            inputs=_mapped(self.inputs, move),
            named=None if self.named is None else _mapped(dict(self.named), move),
            target=_mapped(self.target, move),
        )


def batches(data: Any) -> list[Batch]:
    """All batches of ``data``, kept. A tuple is one batch, any other iterable is many.

    Kept, because a loader that shuffles or augments would give another objective at every look. What it draws moves
    no random state, neither the global ones nor that of its own generator.
    """
    if data is None:
        return [Batch()]
    if isinstance(data, Mapping | tuple | Tensor):
        data = [data]
    if not isinstance(data, Iterable):
        raise BadUsage("this is no data", seen=type(data).__name__, remedy=_FORMS)
    own = [getattr(one, "generator", None) for one in (data, getattr(data, "sampler", None))]
    generators = [(g, g.get_state()) for g in own if isinstance(g, torch.Generator)]
    try:
        with kept_randomness(), torch.inference_mode(False):
            found = [_ordinary(_batch(item)) for item in data]
    finally:
        for generator, state in generators:
            generator.set_state(state)
    if not found or not any(batch.samples for batch in found):
        raise BadUsage(
            "the data hold no sample", seen=f"an empty or exhausted {type(data).__name__}", remedy=_FORMS
        )
    return found


def _batch(item: Any) -> Batch:
    if isinstance(item, Batch):
        return item
    if isinstance(item, Mapping):
        return Batch(named=dict(item), samples=_samples(item.values()))
    if isinstance(item, Tensor):
        return Batch(inputs=(item,), samples=_samples([item]))
    if not isinstance(item, tuple | list) or not item:
        raise BadUsage("this is no batch", seen=type(item).__name__, remedy=_FORMS)
    if len(item) == 1:
        return Batch(inputs=tuple(item), samples=_samples(item))
    *inputs, target = item
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return Batch(named=dict(inputs[0]), target=target, samples=_samples(inputs[0].values()))
    if len(inputs) == 1 and isinstance(inputs[0], tuple | list):
        inputs = list(inputs[0])
    return Batch(inputs=tuple(inputs), target=target, samples=_samples(inputs))


def _ordinary(batch: Batch) -> Batch:
    """Tensors made in inference mode take no part in a graph; copies of them do."""
    if not any(tensor.is_inference() for tensor in batch.tensors()):
        return batch
    return batch.moved(lambda t: t.clone() if t.is_inference() else t)


def _samples(values: Iterable[Any]) -> int:
    """Length of the first axis of the first tensor that has one."""
    return next((int(v.shape[0]) for v in values if isinstance(v, Tensor) and v.dim()), 1)


def _mapped(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, Mapping):
        return {k: _mapped(v, move) for k, v in value.items()}
    if isinstance(value, tuple | list):
        moved = [_mapped(v, move) for v in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    return value


def cast(dtype: torch.dtype | None, device: torch.device | None) -> Callable[[Tensor], Tensor]:
    """A ``move`` to a device, and of real numbers to a precision."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

    return move
