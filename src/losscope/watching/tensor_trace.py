"""Was a tensor written to since? By its version counter, its address and, where asked, a few of its elements."""

import torch
from torch import Tensor

from losscope.watching.weak_tensors import weak

_ELEMENTS = 8


class TensorTrace:
    """The state of one tensor at a moment. Keeps nothing alive.

    Version counters tell of in-place operations; writes through ``.data`` leave them as they are, a replaced
    ``.data`` shows in the address. ``closely`` notes a few elements as well, on the CPU alone: elsewhere comparing
    them would wait for the device.
    """

    __slots__ = ("_address", "_few", "_tensor", "version")

    def __init__(self, tensor: Tensor, *, closely: bool = False) -> None:
        self._tensor = weak(tensor)
        self.version = tensor._version
        self._address = _address(tensor)
        self._few = few(tensor) if closely and tensor.is_cpu else None

    @property
    def tensor(self) -> Tensor | None:
        """The tensor itself, while it lives."""
        return self._tensor()

    def unchanged(self, now: Tensor | None, writes: int = 0) -> bool:
        """Whether ``now`` is that tensor, with so many in-place operations since."""
        if now is None or now is not self._tensor() or now._version != self.version + writes:
            return False
        if _address(now) != self._address:
            return False
        return self._few is None or writes > 0 or torch.equal(few(now), self._few)


def few(tensor: Tensor) -> Tensor:
    """A copy of the first elements."""
    with torch.no_grad():
        return tensor.detach().flatten()[:_ELEMENTS].clone()


def _address(tensor: Tensor) -> int:
    return tensor.data_ptr() if tensor.layout is torch.strided else 0
