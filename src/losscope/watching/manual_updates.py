"""Updates made by hand: ``p -= lr * p.grad`` and its many spellings, seen by the parameters' movement."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from losscope.watching.streams import Stream
from losscope.watching.weak_tensors import TensorRef, weak

_WATCHED = 2  # parameters compared
_ELEMENTS = 8  # elements of each that are compared where no version counter tells


class ManualUpdates:
    """Tells whether parameters changed between two backwards, where no torch optimiser exists.

    Version counters tell of in-place changes at no cost. Writes through ``.data`` leave them as they
    are; until a counter has moved once, a few elements are compared as well.
    """

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self._counters_tell = False
        self._noted: list[tuple[TensorRef, int, Tensor | None]] = []

    def note(self, parameters: Callable[[], Sequence[Tensor]]) -> None:
        """Remember the state of a few parameters; ``parameters`` is asked only when those noted are gone."""
        alive = [p for ref, *_ in self._noted if (p := ref()) is not None]
        if not alive or len(alive) < len(self._noted):
            known = parameters()
            alive = (
                sorted((p for p in known if p.grad is not None), key=Tensor.numel)[:_WATCHED]
                or known[:_WATCHED]
            )
        self._noted = [(weak(p), p._version, None if self._counters_tell else _few(p)) for p in alive]

    def moved(self) -> bool:
        """Whether any noted parameter differs, or is gone (replaced by a new tensor).

        Where none is known any more, tensors are replaced at every update: each backward is one.
        """
        if not self._noted:
            return self.stream is not None
        for ref, version, values in self._noted:
            p = ref()
            if p is None:
                return True
            if p._version != version:
                self._counters_tell = True
                return True
            if values is not None and not torch.equal(_few(p), values):
                return True
        return False


def _few(parameter: Tensor) -> Tensor:
    with torch.no_grad():
        return parameter.detach().flatten()[:_ELEMENTS].clone()
