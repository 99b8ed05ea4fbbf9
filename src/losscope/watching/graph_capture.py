"""CUDA graphs: what a script does while one is captured becomes part of the graph, and so would what we do."""

from collections.abc import Callable

from torch import Tensor

from losscope.watching.values import in_capture
from losscope.watching.weak_tensors import TensorRef, weak

_WHY = "the steps of a replayed graph run no Python and are not seen"


class GraphCapture:
    """Notices backwards inside of a capture; the watch passes them over, with the steps that follow."""

    def __init__(self, event: Callable[..., None]) -> None:
        self._event = event
        self._last: TensorRef | None = None

    def holds(self, root: Tensor) -> bool:
        """Whether the backward that begins at ``root`` is being captured."""
        if not in_capture(root):
            return False
        if self._last is None:
            self._event("blind-spot", what="CUDA graph", why=_WHY)
        self._last = weak(root)
        return True

    @property
    def lasts(self) -> bool:
        """Whether the capture that was seen last is still under way."""
        root = None if self._last is None else self._last()
        return root is not None and in_capture(root)
