"""An objective at other parameters: initial ones, or those of another run."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.vectors import parts

Parameters = Tensor | Mapping[str, Tensor] | nn.Module
"""A vector [P], a ``state_dict``, or a model of the same make."""


def vector(objective: Objective, parameters: Parameters) -> Tensor:
    """Parameters as a vector θ [P]. Raises ``BadUsage`` where they are not those of this objective."""
    if isinstance(parameters, nn.Module):
        parameters = dict(getattr(parameters, "_orig_mod", parameters).named_parameters())
    if isinstance(parameters, Mapping):
        parameters = torch.cat(
            [_named(parameters, n, p) for n, p in zip(objective.names, objective.parameters, strict=True)]
        )
    if not isinstance(parameters, Tensor):
        raise BadUsage(
            "parameters are a vector, a state_dict or a model",
            seen=type(parameters).__name__,
            remedy="keep copy.deepcopy(model) before training",
        )
    if parameters.shape != (objective.size,):
        raise BadUsage(
            "θ must be a vector of all parameters", seen=f"{tuple(parameters.shape)}, not ({objective.size},)"
        )
    if not bool(parameters.isfinite().all()):
        raise BadUsage("a parameter is not finite", seen="in the parameters given")
    return parameters.detach().to(objective.parameters[0].device)


def _named(given: Mapping[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    found = given.get(name)
    if not isinstance(found, Tensor) or found.shape != parameter.shape:
        raise BadUsage(
            f"the parameters given have no {name} of shape {tuple(parameter.shape)}",
            seen=str(tuple(found.shape)) if isinstance(found, Tensor) else f"{len(given)} other names",
        )
    return found.detach().reshape(-1).to(parameter.device)


def placed(
    objective: Objective,
    theta: Tensor | None = None,
    *,
    loss: Any = None,
    data: Any = None,
    dtype: torch.dtype | None = None,
) -> Objective:
    """A copy of an objective at θ (its own by default), without its penalty.

    ``loss`` and ``data`` replace its own; ``dtype`` is another precision.
    """
    whole = copy.deepcopy(objective.whole).to(dtype=dtype)
    if theta is not None:
        own = [p for p in whole.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter, piece in zip(own, parts(theta, own), strict=True):
                parameter.copy_(piece)
    return Objective(
        whole.model,
        whole.loss if loss is None else loss,
        objective.batches if data is None else data,
        dtype=dtype,
        device=objective.parameters[0].device,
        seed=objective.seed,
    )
