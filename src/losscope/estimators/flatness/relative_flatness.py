"""Relative flatness of a layer: κ = Σ_{s,s'} ⟨w_s, w_s'⟩ tr H_{s,s'} with the rows w_s of its weight.

H_{s,s'} is the block of the Hessian by the rows s and s' (Petzka, Kamp, Adilova, Sminchisescu and Boley, 2021,
arXiv:2001.00939, definition 3). It is the trace of H under W ← W(I + Z) with Z of independent numbers of variance 1:
how much the loss rises if the features that the layer reads are mixed up at random, so that it does not change if
whole layers or the units that the layer feeds are rescaled (it does if the units that feed it are, one by one). The
paper relates it to generalisation under conditions on the features and the labels; it is measured at one layer,
usually the last.
"""

import math

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.traces.trace import trace
from losscope.objective.objective import Objective
from losscope.operators.congruence import Congruence
from losscope.operators.hessian import Hessian
from losscope.operators.perturbation import feature_noise

__all__ = ["relative_flatness"]


def relative_flatness(
    objective: Objective,
    layer: str | None = None,
    *,
    rtol: float = 0.05,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
) -> Estimate:
    """κ of the weight ``layer`` (name of the parameter; the last one with two axes or more) ± its standard error.

    Cost: one Hessian-vector product for each sample of the trace; exact for weights of up to 64 numbers. Small is
    flat.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(line.weight, 3.0)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> relative_flatness(Objective(line, torch.nn.functional.mse_loss, (x, x))).value  # 3² · 2 mean x²
    45.0
    """
    if layer is None:
        named = zip(objective.names, objective.parameters, strict=True)
        weights = [name for name, p in named if p.dim() >= 2]
        if not weights:
            raise BadUsage("no trained parameter is the weight of a layer", seen=", ".join(objective.names))
        layer = weights[-1]
    inner = Congruence(Hessian(objective), feature_noise(objective, layer))
    return trace(inner, rtol, seconds=seconds, products=products, seed=seed)
