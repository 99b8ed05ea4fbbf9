"""Weak references to tensors that step aside for ``torch.utils.swap_tensors``.

torch refuses to swap a tensor that anything refers to weakly, which ``module.half()`` does under
``torch.__future__.set_swap_module_params_on_conversion(True)``: a plain ``weakref.ref`` to a parameter of
the user's would make their script fail. So there is one reference per tensor, shared by all who
ask; it is taken away while a swap lasts. A swap exchanges contents: each object stays the parameter that it was.
"""

import weakref
from typing import Any


class TensorRef:
    """Call it for the tensor, or ``None`` where that is gone."""

    __slots__ = ("reference",)

    def __init__(self, tensor: Any) -> None:
        self.reference: weakref.ref[Any] | None
        self.refer_to(tensor)

    def refer_to(self, tensor: Any) -> None:
        """Refer to ``tensor`` from now on, and be forgotten with it."""
        key = id(tensor)
        self.reference = weakref.ref(tensor, lambda _: _references.pop(key, None))

    def __call__(self) -> Any:
        return None if self.reference is None else self.reference()


_references: dict[int, TensorRef] = {}
_aside: list[tuple[TensorRef, Any]] = []


def weak(tensor: Any) -> TensorRef:
    """The reference to ``tensor``; the tensor's ``id`` may be that of an earlier one, the reference is not."""
    known = _references.get(id(tensor))
    if known is None or known() is not tensor:
        known = _references[id(tensor)] = TensorRef(tensor)
    return known


def step_aside(*tensors: Any) -> None:
    """Take the references to ``tensors`` away, until :func:`return_to_all`."""
    for tensor in tensors:
        known = _references.get(id(tensor))
        if known is not None:
            known.reference = None
            _aside.append((known, tensor))


def return_to_all() -> None:
    """Refer again to what :func:`step_aside` was called for."""
    while _aside:
        known, tensor = _aside.pop()
        known.refer_to(tensor)
