"""Was the gradient cleared? Judged by the state of ``.grad`` itself, never by who was called.

After every event the identity and version counter of a few gradients are noted. At the next backward
they are compared: gone, replaced or overwritten with zeros means cleared; the same tensor at the same
version means that the coming gradient will be added to it.
"""

import weakref
from collections.abc import Iterable

from torch import Tensor

_WATCHED = 2  # parameters looked at per group: enough, since a clearing call clears them all


class GradientState:
    """Remembers the gradients of a few parameters between two moments."""

    def __init__(self) -> None:
        self._noted: list[tuple[weakref.ref[Tensor], weakref.ref[Tensor], int]] = []

    def note(self, parameters: Iterable[Tensor]) -> None:
        """Remember the state of the smallest parameters that have a gradient."""
        having = [(p, g) for p in parameters if (g := p.grad) is not None and not g.is_sparse]
        having.sort(key=_size)
        self._noted = [(weakref.ref(p), weakref.ref(g), g._version) for p, g in having[:_WATCHED]]

    def renote(self) -> None:
        """Remember the state of the same parameters now (cheap; every step)."""
        fresh = []
        for ref, _, _ in self._noted:
            p = ref()
            g = p.grad if p is not None else None
            if g is not None:
                fresh.append((ref, weakref.ref(g), g._version))
        if fresh:
            self._noted = fresh

    @property
    def empty(self) -> bool:
        return not self._noted

    def cleared(self) -> bool | None:
        """Whether the noted gradients were cleared since; None where that cannot be told cheaply."""
        verdict: bool | None = None
        for ref, gradient_ref, version in self._noted:
            p = ref()
            if p is None:
                continue
            now = p.grad
            if now is None or now is not gradient_ref():
                return True
            if now._version == version:
                return False
            if now.is_cpu and now.numel() <= 65536:
                return not bool(now.any())
            verdict = None
        return verdict


def _size(pair: tuple[Tensor, Tensor]) -> int:
    return pair[0].numel()
