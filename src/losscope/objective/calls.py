"""Calls of the model and of the loss: a failure is one line that says which of them failed, on what, and what helps.

The error itself stays behind it, as its cause. What the user's own code raises on purpose is let through.
"""

import dis
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.errors import BadUsage

_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError)
_SHOWN = 200
_RAISE = dis.opmap["RAISE_VARARGS"]


@contextmanager
def of_model(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any] | None) -> Iterator[None]:
    """The model is called on a batch inside."""
    try:
        yield
    except _FAILURES as error:
        if _on_purpose(error):
            raise
        given = [*inputs, *(named or {}).values()]
        raise BadUsage(
            f"the model cannot be called on a batch of these data: {_first_line(error)}",
            seen=", ".join(map(shown, inputs)) + "".join(f"{k}={shown(v)}" for k, v in (named or {}).items()),
            remedy=_help_for_model(model, given, str(error)),
        ) from error


@contextmanager
def of_loss(output: Any, target: Any) -> Iterator[None]:
    """The loss is computed inside."""
    try:
        yield
    except _FAILURES as error:
        if _on_purpose(error):
            raise
        without = target is None
        raise BadUsage(
            f"the loss cannot be computed of the model's output{'' if without else ' and the target'}: "
            + _first_line(error),
            seen=f"output {shown(output)}, " + ("no target" if without else f"target {shown(target)}"),
            remedy=_help_for_loss(output, target),
        ) from error


def _on_purpose(error: Exception) -> bool:
    """Whether a ``raise`` outside of torch made it; memory that ran out is no fault of the call either."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code, at = trace.tb_frame.f_code, trace.tb_lasti
    return code.co_code[at] == _RAISE and not trace.tb_frame.f_globals.get("__name__", "").startswith("torch")


def shown(value: Any) -> str:
    """What a value is, in a few letters."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{text or type(error).__name__}"[:_SHOWN].rstrip(".")


def _help_for_model(model: nn.Module, given: list[Any], said: str) -> str:
    own = next((p for p in model.parameters() if p.is_floating_point()), None)
    real = [v for v in given if isinstance(v, Tensor) and v.is_floating_point()]
    if own is None:
        return "the model has no parameters: losscope.Objective(model, loss, data), the model comes first"
    if any(v.dtype != own.dtype for v in real):
        return f"the parameters are {_of(own)}: give the inputs so, or Objective(…, dtype={own.dtype})"
    if not real and given and "dtype" in said:
        return "inputs that are numbers are real: give inputs.float()"
    if any(v.device != own.device for v in given if isinstance(v, Tensor)):
        return f"the parameters are on {own.device}: give the inputs there, or Objective(…, device='{own.device}')"
    return (
        "data is (inputs, targets) as model(inputs) and loss(output, targets) take them, or batches of that"
    )


def _help_for_loss(output: Any, target: Any) -> str:
    if target is None:
        return "data is (inputs, targets), or batches of that"
    if isinstance(output, Tensor) and isinstance(target, Tensor):
        classes = output.dim() == target.dim() + 1 or output.dim() == 1 == target.dim() + 1
        if classes and target.dtype != torch.int64:
            return "targets that are classes are integers: give target.long()"
        if target.is_floating_point() and target.dtype != output.dtype:
            return f"the output is {_of(output)}: give the target so, or Objective(…, dtype={output.dtype})"
        if not target.is_floating_point() and target.shape == output.shape:
            return "targets that are numbers are real: give target.float()"
        if output.device != target.device:
            return f"the output is on {output.device}: give the target there"
    if not isinstance(output, Tensor):
        return "give a loss that takes what the model returns, such as lambda output, target: loss(output[0], target)"
    return "the loss is called as loss(output, target)"


def _of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
