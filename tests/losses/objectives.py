"""Objectives made of the losses' own functions, with a linear layer in front of every prediction."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.losses.arguments import draw_case
from losscope.losses.graph.trace import sizes_of
from losscope.losses.spec import LossSpec, needed_options


def layer(values: Tensor) -> Tensor:
    """``values`` as the output of a linear layer, whose weights are the identity."""
    rows = values.reshape(-1, 1) if values.dim() < 2 else values
    weight = torch.eye(rows.shape[-1], dtype=values.dtype, requires_grad=True)
    return F.linear(rows, weight).reshape(values.shape)


def inputs(
    spec: LossSpec, seed: int = 3, dtype: torch.dtype = torch.float64, *, larger: bool = True
) -> tuple[Tensor, ...]:
    """One drawn case; predictions are outputs of layers."""
    drawn = draw_case(spec.arguments, seed, sizes_of(spec, "free" if larger else ""))
    case = []
    for argument, tensor in zip(spec.arguments, drawn, strict=True):
        value = tensor.to(dtype) if tensor.dtype.is_floating_point else tensor
        judged = argument.role == "prediction" and value.dtype.is_floating_point
        case.append(layer(value) if judged else value)
    return tuple(case)


def objective(
    spec: LossSpec,
    options: Mapping[str, Any] | None = None,
    seed: int = 3,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The loss of a drawn case with larger axes than those that templates are made with, where it takes them."""
    assert spec.function is not None
    given = dict(options if options is not None else needed_options(spec))
    for larger in (True, False):
        case = inputs(spec, seed, dtype, larger=larger)
        try:
            return spec.function(*case, **given), case
        except Exception:
            if not larger:
                raise
    raise AssertionError
