"""A context in which losscope's own tensor operations are seen by nobody."""

from types import TracebackType
from typing import Any

import torch
from torch.utils import _python_dispatch


class Quiet:
    """No graph is recorded, and the user's function modes and dispatch modes do not apply.

    A default device is a function mode; a flop counter is a dispatch mode that would count us.
    """

    __slots__ = ("_functions", "_grad", "_modes")

    def __enter__(self) -> None:
        self._grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        self._functions: Any = torch._C.DisableTorchFunction()
        self._functions.__enter__()
        self._modes: Any = None
        if torch._C._len_torch_dispatch_stack() > 0:
            self._modes = _python_dispatch._disable_current_modes()
            self._modes.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._modes is not None:
            self._modes.__exit__(kind, error, traceback)
        self._functions.__exit__(kind, error, traceback)
        torch._C._set_grad_enabled(self._grad)
