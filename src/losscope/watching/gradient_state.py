"""Was the gradient cleared? Judged by the state of ``.grad`` itself, never by who was called.

After every update the identity and version counter of one gradient are noted. At the next backward
they are compared: gone, replaced or overwritten with zeros means cleared; the same tensor at the same
version means that the coming gradient will be added to it. One parameter is enough: clearing calls
clear them all. The smallest is taken, so that looking for zeros is cheap.
"""

from collections.abc import Iterable

from torch import Tensor

from losscope.watching.weak_tensors import TensorRef, weak

_CHEAP = 65536  # elements that are searched for a non-zero


class GradientState:
    """Remembers the gradient of one parameter between two moments. Keeps nothing alive."""

    __slots__ = ("_gradient", "_parameter", "_unseen", "_version")

    def __init__(self) -> None:
        self._parameter: TensorRef | None = None
        self._gradient: TensorRef | None = None
        self._version = -1
        self._unseen = False

    def note(self, parameters: Iterable[Tensor]) -> None:
        """Choose the smallest parameter that has a dense gradient, and remember that gradient."""
        having = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
        self._parameter = weak(min(having, key=Tensor.numel)) if having else None
        self._gradient = None
        self.renote()

    def renote(self) -> None:
        """Remember the state of the same parameter's gradient now (cheap; every step)."""
        parameter = self._parameter() if self._parameter is not None else None
        gradient = parameter.grad if parameter is not None else None
        if gradient is not None:
            self._unseen = False
            self._gradient = weak(gradient)
            self._version = gradient._version

    def forget(self) -> None:
        """A backward added to the gradient unseen: until it is noted again, only its being gone or zero tells."""
        self._unseen = True

    @property
    def empty(self) -> bool:
        return self._parameter is None or self._parameter() is None

    def untouched(self) -> bool:
        """Whether nothing was added to the noted gradient since: it is gone, or the same tensor at its version."""
        parameter = self._parameter() if self._parameter is not None else None
        if parameter is None or self._gradient is None or self._unseen:
            return False
        now = parameter.grad
        return now is None or (now is self._gradient() and now._version == self._version)

    def cleared(self) -> bool | None:
        """Whether the noted gradient was cleared since; ``None`` where that cannot be told cheaply."""
        parameter = self._parameter() if self._parameter is not None else None
        if parameter is None or (self._gradient is None and not self._unseen):
            return None
        now = parameter.grad
        if now is None:
            return True
        if not self._unseen and self._gradient is not None:
            if now is not self._gradient():  # another tensor was put in its place
                return True
            if now._version == self._version:
                return False
        return not bool(now.any()) if now.is_cpu and now.numel() <= _CHEAP else None
