"""How many classes and columns a loss was built for: told by its options, its attributes and the weights of its own."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor, nn

from losscope.losses.arguments import SIZES

_COUNTS = r"n|nb|no|num|number_of|total"
_NAMES = {
    "C": re.compile(
        rf"(({_COUNTS})_?)(class|classes|cls|label|labels|categories)|(class|classes|cls|label)_(num|count|number)"
        r"|out_features|vocab_size|classes"
    ),
    "D": re.compile(
        r"in_features|in_channels|d_model|(embed|embeddings?|emb|feats?|features?|input|hidden|model)_?(dims?|size|dimension)"
    ),
}
_PER_CLASS = re.compile(
    r"(pos_)?weights?|class_?weights?|cls_num_list|class_counts|samples_per_(cls|class)|class_(freq|prior|prob).*|prior"
)

_LONGEST, _FEW = 64, 3


def axis_of(name: str) -> str | None:
    """The axis whose length an option of this name gives: ``num_classes`` C, ``embedding_size`` D."""
    return next((axis for axis, names in _NAMES.items() if names.fullmatch(name.strip("_").lower())), None)


def usual(names: Sequence[str]) -> dict[str, int]:
    """The usual lengths for those of ``names`` that mean one."""
    return {name: SIZES[axis] for name in names if (axis := axis_of(name)) is not None}


def matrices(loss: Any) -> list[Tensor]:
    """The trainable matrices that a loss owns: what it takes then are features, not predictions."""
    return (
        [w for w in loss.parameters() if w.ndim == 2 and min(w.shape) > 1]
        if isinstance(loss, nn.Module)
        else []
    )


def built_for(loss: Any, options: Mapping[str, Any]) -> dict[str, int]:
    """Lengths of axes by which this loss was built; empty where it takes any."""
    found: dict[str, int] = {}
    for name, value in _told(loss, options):
        axis = axis_of(name)
        if axis is not None and type(value) is int and value > 1:
            found.setdefault(axis, value)
    for name, value in _told(loss, options):
        if _PER_CLASS.fullmatch(name.lower()) and (length := _length(value)) > 1:
            found.setdefault("C", length)
            if not matrices(loss):
                found.setdefault("D", length)  # of several labels each column is a class
    for weight in matrices(loss):
        rows, columns = weight.shape
        if found.get("C") == columns != rows:
            rows, columns = columns, rows
        if found.setdefault("C", rows) == rows:
            found.setdefault("D", columns)
    return found


def shapes(loss: Any) -> list[dict[str, int]]:
    """Classes and columns as the matrices of a loss may mean them, whatever they are called: either way round."""
    if not isinstance(loss, nn.Module):
        return []
    tensors = [*loss.parameters(), *loss.buffers(), *vars(loss).values()]
    sizes = dict.fromkeys(
        tuple(t.shape) for t in tensors if isinstance(t, Tensor) and t.ndim == 2 and min(t.shape) > 1
    )
    return [{"C": c, "D": d} for a, b in list(sizes)[:_FEW] for c, d in dict.fromkeys(((a, b), (b, a)))]


def lengths(loss: Any, options: Mapping[str, Any]) -> list[int]:
    """How long the lists are that a loss was built with: one entry per class, column or quantile may be meant."""
    values = [value for _, value in _told(loss, options)] + _reached(loss)
    return list(dict.fromkeys(n for value in values if 2 <= (n := _length(value)) <= _LONGEST))[:_FEW]


def thresholds(loss: Any, options: Mapping[str, Any]) -> list[int]:
    """Whole numbers that a loss was built with: it may behave otherwise for batches that are larger."""
    values = [value for _, value in _told(loss, options)] + _reached(loss)
    return [value for value in values if type(value) is int and value > 1]


def _reached(loss: Any) -> list[Any]:
    """Defaults of a function, and what it takes from around it."""
    function = loss if inspect.isroutine(loss) else getattr(loss, "forward", None)
    function = inspect.unwrap(function) if callable(function) else None
    found = list(getattr(function, "__defaults__", None) or ())
    found += (getattr(function, "__kwdefaults__", None) or {}).values()
    if inspect.isfunction(function):
        with suppress(ValueError):  # a variable that has no value yet
            around = inspect.getclosurevars(function)
            found += [*around.nonlocals.values(), *around.globals.values()]
    return found


def _told(loss: Any, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from options.items()
    yield from (getattr(loss, "__dict__", None) or {}).items()
    if isinstance(loss, nn.Module):
        yield from loss.named_buffers(recurse=False)


def _length(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() if value.ndim == 1 else 0
    return len(value) if isinstance(value, list | tuple) else 0
