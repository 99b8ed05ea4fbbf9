"""Read the value of a loss at once and without disturbing it: users add to it in place afterwards."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import _disable_current_modes

is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore[reportAttributeAccessIssue]
tracing_state = torch._C._get_tracing_state
dispatch_modes = torch._C._len_torch_dispatch_stack
_plain_types: dict[type, bool] = {Tensor: True, Parameter: True}


def hidden(method: Callable[..., None], *arguments: Any) -> None:
    """Call ``method``: the dispatch modes that the user's code is in do not see what it computes."""
    if dispatch_modes():
        with _disable_current_modes():
            method(*arguments)
    else:
        method(*arguments)


def is_plain(value: Any) -> bool:
    """Whether ``value`` is a tensor with data of its own: no fake, meta, traced, vmapped or foreign one.

    While ``torch.jit.trace`` runs none is: what we compute would become part of the user's graph.
    """
    kind = type(value)
    plain = _plain_types.get(kind)
    if plain is None:
        plain = (
            issubclass(kind, Tensor) and kind.__torch_dispatch__ is Tensor.__torch_dispatch__  # pyright: ignore[reportAttributeAccessIssue]
        )
        _plain_types[kind] = plain
    return plain and not value.is_meta and not is_wrapped(value) and tracing_state() is None


def in_capture(value: Tensor) -> bool:
    """Whether what is computed from ``value`` now would become part of a CUDA graph of the user's."""
    return value.is_cuda and torch.cuda.is_current_stream_capturing()


def number(value: Tensor) -> float | Tensor | None:
    """The value of a tensor of one element: a float on the CPU, a private copy on its device elsewhere, which is
    looked at later. None in the capture of a CUDA graph."""
    if value.is_cpu:
        return value.item()
    return None if in_capture(value) else value.detach().reshape(()).clone()


def scalar(root: Any) -> float | Tensor | None:
    """The value of a scalar loss, as :func:`number`.

    None where there is no single real number: other shapes, complex, meta, traced and vmapped tensors.
    """
    if not is_plain(root) or root.numel() != 1 or root.is_complex():
        return None
    return number(root)
