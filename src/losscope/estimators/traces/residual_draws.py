"""The trace of R = Σ ∂ℓ/∂f ∇²f, the part of the Hessian that Gauss-Newton leaves out, with every sample its own draw.

R is a sum over samples, R = Σ_i R_i, so that tr R = Σ_i E z_iᵀ R_i z_i with other random z_i for each of them: the
error of one pass is that of N draws and not of one. z_i moves the weights of a layer by α_i ⊗ β_i with random signs,
which is felt in the layer's output for this sample alone. What is differentiated twice is therefore ⟨f, ∂ℓ/∂f⟩ in the
outputs of the layers, at the cost of a Hessian-vector product without the gradients of the weights. That leaves out
the products of the moves of two layers, which are independent and have mean 0; a parameter that several layers share
is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.estimators.traces.draws import Part, draw_until
from losscope.operators.layers import Layers


def of_batch(layers: Layers, target: Callable[[float], float], most: float, random: torch.Generator) -> Part:
    """tr R of one batch, to an error of ``target(value)``; at most so many draws, and two at least."""
    if layers.shared is not None:
        raise NotReadable("several layers share a parameter", seen=layers.shared)
    outputs = [call.output for call in layers.calls]
    slope = [s.detach() for s in layers.batch.slope]
    pulled = torch.autograd.grad(
        layers.batch.predictions, outputs, slope, create_graph=True, allow_unused=True
    )
    known = [i for i, g in enumerate(pulled) if g is not None and g.requires_grad]

    def draw() -> Tensor:
        moved = layers.moves(random)
        total = torch.zeros(layers.samples, dtype=torch.float64, device=slope[0].device)
        if not known:
            return total
        bent = torch.autograd.grad(
            [pulled[i] for i in known],
            outputs,
            [moved[i] for i in known],
            retain_graph=True,
            allow_unused=True,
        )
        for move, b in zip(moved, bent, strict=True):
            if b is not None:
                total += (b.detach() * move).reshape(layers.samples, -1).double().sum(1)
        return total

    return draw_until(draw, target, most)[0]
