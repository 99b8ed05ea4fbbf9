"""The exact trace of the covariance of per-sample gradients: the total noise of stochastic gradients.

tr C = (1/N) Σ ‖g_i‖² - ‖ḡ‖², with the norms of all samples of a batch from one backward pass by layers
(:mod:`losscope.operators.layers`). tr C / ‖ḡ‖² is the simple noise scale, the batch size at which noise and gradient
are of one size (McCandlish et al., 2018, arXiv:1812.06162, eq. 2.9).
"""

import time

import torch

from losscope.core.estimate import Estimate
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.layers import Layers
from losscope.operators.rounding import rounded

__all__ = ["gradient_covariance_trace"]


@without_autocast()
def gradient_covariance_trace(objective: Objective) -> Estimate:
    """tr C of the data term, exactly: of all N samples, dividing by N.

    Cost: about one gradient. Raises ``NotReadable``, with the reason, where layers give no per-sample gradients;
    ``trace(GradientCovariance(objective))`` is an estimate for any network.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x, t = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> gradient_covariance_trace(Objective(line, torch.nn.functional.mse_loss, (x, t))).value  # of -2 and -6
    4.0
    """
    began, squares, count = time.perf_counter(), 0.0, 0
    mean = torch.zeros(objective.size, dtype=torch.float64, device=objective.parameters[0].device)
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            layers = Layers(objective, index)
            slope = [s.detach() * coefficient for s in layers.batch.slope]
            squares += float(layers.squares(slope).double().sum())
            mean += layers.batch.pull(slope).double()
            count += layers.samples
    # Of every sample its part in L was taken; g_i is N times that.
    value = count * squares - float(mean.square().sum())
    spent = time.perf_counter() - began
    return rounded(max(value, 0.0), 0.0, len(objective.batches), spent, objective.precision)
