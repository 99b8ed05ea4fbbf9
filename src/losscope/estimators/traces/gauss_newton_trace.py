"""The exact trace of a Gauss-Newton matrix, by one backward pass per output of the network.

tr Jᵀ H J = Σ_i Σ_k λ_ik ‖J_iᵀ u_ik‖² with the eigenpairs of each sample's loss Hessian H_i [C, C]. For one k the
vectors u_ik of all samples are pulled back together, and the norms per sample come from the layers' inputs and output
gradients without the gradients themselves (:mod:`losscope.operators.layers`). For piecewise-linear networks (ReLU) it
is the trace of the Hessian of the data term as well, since ∇²f is 0 almost everywhere.
"""

import time

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.layers import Layers
from losscope.operators.loss_hessian import MOST_OUTPUTS, loss_hessians, split
from losscope.operators.rounding import rounded

__all__ = ["gauss_newton_trace"]


@without_autocast()
def gauss_newton_trace(objective: Objective, *, most_outputs: int = MOST_OUTPUTS) -> Estimate:
    """tr of the data term's Gauss-Newton matrix, exactly.

    Cost: one forward pass, and C backward passes without weight gradients, C = outputs per sample. Raises
    ``NotReadable``, with the reason, where per-sample gradients cannot be had by layers (batch normalisation in
    training mode, layers of an unknown kind), samples are coupled by the loss, or C is above ``most_outputs``.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> gauss_newton_trace(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).value
    5.0
    """
    began, total, passes = time.perf_counter(), 0.0, 0
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            value, used = _of_batch(Layers(objective, index), most_outputs)
            total, passes = total + coefficient * value, passes + used
    return rounded(total, 0.0, passes, time.perf_counter() - began, objective.precision)


def _of_batch(layers: Layers, most_outputs: int) -> tuple[float, int]:
    values, vectors = torch.linalg.eigh(loss_hessians(layers.batch, layers.samples, most_outputs))
    return exact_of_batch(layers, values, vectors), values.shape[1]


def exact_of_batch(layers: Layers, values: Tensor, vectors: Tensor) -> float:
    """Σ_i Σ_k λ_ik ‖J_iᵀ v_ik‖², for the eigenpairs [n, C] and [n, C, C] of the loss Hessians of one batch."""
    total = 0.0
    for k in range(values.shape[1]):
        if bool((values[:, k] == 0).all()):
            continue
        squares = layers.squares(split(vectors[:, :, k], layers.batch))
        total += float((values[:, k] * squares).double().sum())
    return total
