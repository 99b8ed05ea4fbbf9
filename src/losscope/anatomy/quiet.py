"""A context in which losscope's own tensor operations are seen by nobody."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.utils import _python_dispatch


@contextmanager
def quiet() -> Iterator[None]:
    """No graph is recorded, and the user's function modes and dispatch modes do not apply.

    A default device is a function mode; a flop counter is a dispatch mode that would count us.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch._C.DisableTorchFunction())
        if torch._C._len_torch_dispatch_stack() > 0:
            stack.enter_context(_python_dispatch._disable_current_modes())
        yield
