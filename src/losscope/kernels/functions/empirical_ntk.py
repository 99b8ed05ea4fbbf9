"""The tangent kernel of a given network: scalar products of the gradients of its predictions at θ.

Θ(x, z) = J(x) J(z)ᵀ [C, C] for C outputs (Jacot, Gabriel and Hongler, 2018, arXiv:1806.07572): the kernel of the
linearised network f(θ₀) + J(θ - θ₀). Three forms of it:

* ``full``: over samples and outputs, [N·C, M·C], sample by sample: exact, and large.
* ``shared``: (1/C) Σ_c Θ_cc [N, M], one kernel for all outputs, which Θ approaches in the limit of infinite width.
* ``sum``: that of Σ_c f_c / √C [N, M], one backward pass instead of C (Mohamadi, Bae and Sutherland, 2023,
  arXiv:2206.12543).
"""

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import BadUsage, NotReadable
from losscope.kernels.functions.kernel import Kernel
from losscope.kernels.functions.placed import Parameters, placed, vector
from losscope.objective.batches import Batch, batches
from losscope.objective.objective import Objective
from losscope.operators.jacobian import NTK
from losscope.operators.layers import Layers
from losscope.operators.tangent_kernel import tangent_kernel

__all__ = ["EmpiricalNTK"]

Outputs = Literal["shared", "full", "sum"]
_ROWS = 10_000  # of a matrix that is made by products: 800 MB


class EmpiricalNTK(Kernel):
    """The tangent kernel of an objective's network, at its own parameters or at those given.

    Its inputs are data as an ``Objective`` takes them (targets are not looked at; a model that returns its loss needs
    what makes it do so), or None for the objective's own. ``parameters`` are a vector [P], a ``state_dict`` or a model.
    Network and data are copied in ``dtype``. The mode of the model stays: batch normalisation in training mode and
    dropout are part of the function.

    Cost: C backward passes ("sum": 1) and n·m·(fan in + fan out) of each layer, where the network's layers are of known
    kinds (see ``operators.layers``); otherwise two products with the Jacobian for each row.

    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [1.0, 2.0]])
    >>> EmpiricalNTK(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1])))(x, x[:1]).tolist()
    [[1.0], [1.0]]
    """

    def __init__(
        self,
        objective: Objective,
        parameters: Parameters | None = None,
        outputs: Outputs = "shared",
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if not isinstance(objective, Objective):
            raise BadUsage(
                "a tangent kernel is that of an Objective",
                seen=type(objective).__name__,
                remedy="losscope.Objective(model, loss, data)",
            )
        if outputs not in get_args(Outputs):
            raise BadUsage("outputs are shared, full or sum", seen=repr(outputs))
        self.outputs: Outputs = outputs
        theta = None if parameters is None else vector(objective, parameters)
        loss = None if objective.whole.loss is None else _sum_of_squares
        self._objective = placed(
            objective, theta, loss=loss, data=_untargeted(objective.batches, loss), dtype=dtype
        )
        self._loss = loss
        self.rounding = torch.finfo(dtype).eps

    def __repr__(self) -> str:
        return f"EmpiricalNTK(parameters={self._objective.size:,}, outputs={self.outputs!r})"

    def __call__(self, one: Any = None, other: Any = None) -> Tensor:
        first = self._at(one)
        second = None if other is None else self._at(other)
        try:
            return self._by_layers(first, second)
        except NotReadable:
            return self._by_products(first, second)

    def diagonal(self, inputs: Any = None) -> Tensor:
        """k(x_i, x_i) [N], or [N·C] of the full kernel."""
        at = self._at(inputs)
        try:
            sides = _layers(at)
        except NotReadable:
            return self._by_products(at, None).diagonal()
        columns = _columns(sides, self.outputs == "sum")
        rows = torch.stack(
            [torch.cat([p.squares([w]) for p, w in zip(sides, c, strict=True)]) for c in columns], 1
        ).double()
        return rows.reshape(-1) if self.outputs == "full" else rows.mean(1)

    def _at(self, data: Any) -> Objective:
        """The network over other data."""
        if data is None:
            return self._objective
        if isinstance(data, np.ndarray):
            data = torch.as_tensor(data)
        own = self._objective
        return Objective(
            own.whole.model,
            own.whole.loss,
            _untargeted(batches(data), self._loss),
            dtype=own.parameters[0].dtype,
            device=own.parameters[0].device,
            seed=own.seed,
        )

    def _by_layers(self, one: Objective, other: Objective | None) -> Tensor:
        first = _layers(one)
        second = first if other is None else _layers(other)
        rows, columns = (_columns(side, self.outputs == "sum") for side in (first, second))
        others = None if other is None else second
        if self.outputs == "full":
            found = tangent_kernel(first, rows, others, columns)
            left, right = (_by_sample(found.shape[a], len(rows), found.device) for a in (0, 1))
            return found[left][:, right].double()
        return tangent_kernel(first, rows, others, columns, shared=True).double() / len(rows)

    def _by_products(self, one: Objective, other: Objective | None) -> Tensor:
        """J Jᵀ over both sets at once, and the part of it that is wanted."""
        data = one.batches if other is None else [*one.batches, *other.batches]
        whole = Objective(one.whole.model, one.whole.loss, data, seed=one.seed)
        tangent = NTK(whole)
        if tangent.size > _ROWS:
            raise BadUsage(
                "the tangent kernel of this network is made row by row, and has too many",
                seen=f"{tangent.size:,} predictions",
                remedy=f"give at most {_ROWS:,} of them",
            )
        found, outputs = tangent.dense().double(), tangent.size // whole.samples
        length = one.samples * outputs
        found = found[:length] if other is None else found[:length, length:]
        if self.outputs == "full":
            return found
        found = found.view(one.samples, outputs, -1, outputs)
        if self.outputs == "sum":
            return found.sum((1, 3)) / outputs
        return found.diagonal(dim1=1, dim2=3).mean(2)


def _sum_of_squares(output: Any) -> Tensor:
    """A loss that all predictions reach; the kernel does not depend on it."""
    if not isinstance(output, Tensor):
        raise BadUsage(
            "a tangent kernel is that of one tensor of predictions",
            seen=type(output).__name__,
            remedy="let the model return its predictions alone",
        )
    return 0.5 * output.square().sum()


def _untargeted(data: list[Batch], loss: Any) -> list[Batch]:
    return data if loss is None else [replace(batch, target=None) for batch in data]


def _layers(objective: Objective) -> list[Layers]:
    return [Layers(objective, i) for i, c in enumerate(objective.coefficients) if c]


def _columns(sides: list[Layers], summed: bool) -> list[list[Tensor]]:
    """Weights that pick one output each, or Σ_c f_c / √C; ``NotReadable`` where samples have no outputs in common."""
    shapes = [side.batch.predictions[0].shape for side in sides]
    outputs = shapes[0][1:].numel()
    if any(
        len(s.batch.predictions) != 1 or n[1:].numel() != outputs for s, n in zip(sides, shapes, strict=True)
    ):
        raise NotReadable("several tensors of predictions, or of different sizes", seen=str(len(shapes)))
    like = [side.batch.predictions[0] for side in sides]
    if summed:
        return [[torch.full_like(p, outputs**-0.5) for p in like]]
    columns = []
    for c in range(outputs):
        units = [torch.zeros_like(p) for p in like]
        for unit in units:
            unit.view(len(unit), -1)[:, c] = 1.0
        columns.append(units)
    return columns


def _by_sample(rows: int, outputs: int, device: torch.device) -> Tensor:
    """Where rows ordered by output stand when they are ordered by sample."""
    return torch.arange(rows, device=device).view(outputs, -1).T.reshape(-1)
