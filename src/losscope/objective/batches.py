"""What an objective is a mean over: batches of inputs and targets, in the forms in which people hold them."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.core.errors import BadUsage
from losscope.objective.randomness import kept_randomness

_FORMS = "data is (inputs, targets), a dictionary of inputs, or an iterable of these"
_TARGETS = ("labels", "label", "targets", "target")


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


def batches(data: Any, loss: Any = None, like: Tensor | None = None) -> list[Batch]:
    """All batches of ``data``, kept. A tuple is one batch, any other iterable is many.

    Kept, because a loader that shuffles or augments would give another objective at every look. What it draws moves
    no random state, neither the global ones nor that of its own generator. A list of two tensors is (inputs, targets)
    where the ``loss`` takes a target. Arrays of NumPy become tensors; real ones of the type and on the device of
    ``like``.
    """
    if data is None:
        return [Batch()]
    if isinstance(data, Mapping | tuple | Tensor | np.ndarray) or _a_pair(data, loss):
        data = [data]
    if not isinstance(data, Iterable):
        samples = hasattr(data, "__getitem__") and hasattr(data, "__len__")
        made = "torch.utils.data.DataLoader(data, batch_size=64) makes batches of a dataset"
        raise BadUsage("this is no data", seen=type(data).__name__, remedy=made if samples else _FORMS)
    own = [getattr(one, "generator", None) for one in (data, getattr(data, "sampler", None))]
    generators = [(g, g.get_state()) for g in own if isinstance(g, torch.Generator)]
    try:
        with kept_randomness(), torch.inference_mode(False):
            found = [_ordinary(_batch(_as_tensors(item, like))) for item in _each_a_batch(data)]
    finally:
        for generator, state in generators:
            generator.set_state(state)
    if not found or not any(batch.samples for batch in found):
        raise BadUsage(
            "the data hold no sample", seen=f"an empty or exhausted {type(data).__name__}", remedy=_FORMS
        )
    return found


def _a_pair(data: Any, loss: Any) -> bool:
    """Whether a list of tensors is one batch and not many. ``BadUsage`` where it can be neither."""
    if not isinstance(data, list) or not data or not all(isinstance(d, Tensor | np.ndarray) for d in data):
        return False
    if loss is None or not _takes_target(loss):
        return False
    if len(data) == 2 and all(d.ndim for d in data) and len(data[0]) == len(data[1]):
        return True
    raise BadUsage(
        "a list is many batches, and these have no target, which the loss takes",
        seen="a list of " + ", ".join(str(list(d.shape)) for d in data[:4]),
        remedy=_FORMS,
    )


def _takes_target(loss: Callable[..., Any]) -> bool:
    """Whether one argument is too few for a loss."""
    try:
        inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).bind(None)
    except TypeError:
        return True
    except ValueError:  # it has no signature that could be read
        return False
    return False


def _each_a_batch(data: Iterable[Any]) -> Iterable[Any]:
    """The items; ``BadUsage`` at the second one that is a sample and no batch."""
    alone = 0
    for item in data:
        alone += _is_one_sample(item)
        if alone == 2:
            parts = item.values() if isinstance(item, Mapping) else item
            raise BadUsage(
                "these are samples and not batches: their targets have no axis",
                seen="items of " + ", ".join(_shown(part) for part in parts),
                remedy="torch.utils.data.DataLoader(data, batch_size=64) puts them together; "
                "a batch of one has targets of shape [1]",
            )
        yield item


def _is_one_sample(item: Any) -> bool:
    if isinstance(item, Mapping):
        target = next((item[name] for name in _TARGETS if name in item), None)
    elif isinstance(item, tuple | list) and len(item) > 1:
        target = item[-1]
    else:
        return False
    return isinstance(target, Number) or (isinstance(target, Tensor | np.ndarray) and not target.ndim)


def _shown(part: Any) -> str:
    return str(list(part.shape)) if isinstance(part, Tensor | np.ndarray) else type(part).__name__


def _as_tensors(item: Any, like: Tensor | None) -> Any:
    """Arrays as tensors: real numbers as those of ``like``, integers as torch's own."""
    if isinstance(item, np.ndarray | np.generic) and item.dtype.kind in "fiub":
        kind = item.dtype.kind
        found = torch.as_tensor(item if kind != "u" else item.astype(np.int64))
        dtype = torch.int64 if kind in "iu" else like.dtype if like is not None and kind == "f" else None
        return found.to(device=None if like is None else like.device, dtype=dtype)
    if isinstance(item, Mapping):
        return {name: _as_tensors(value, like) for name, value in item.items()}
    if isinstance(item, tuple | list) and any(
        isinstance(v, np.ndarray | Mapping | tuple | list) for v in item
    ):
        made = [_as_tensors(value, like) for value in item]
        return type(item)(*made) if hasattr(item, "_fields") else type(item)(made)
    return item


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
