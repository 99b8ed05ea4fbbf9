"""The trace of R = Σ ∂ℓ/∂f ∇²f, the part of the Hessian that Gauss-Newton leaves out, with every sample its own draw.

R is a sum over samples, R = Σ_i R_i, so that tr R = Σ_i E z_iᵀ R_i z_i with other random z_i for each of them: the
error of one pass is that of N draws and not of one. z_i moves the weights of a layer by α_i ⊗ β_i with random signs,
which is felt in the layer's output for this sample alone. What is differentiated twice is therefore ⟨f, ∂ℓ/∂f⟩ in the
outputs of the layers, at the cost of a Hessian-vector product without the gradients of the weights. That leaves out
the products of the moves of two layers, which are independent and have mean 0; a parameter that several layers share
is refused.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.estimators.budget import Budget
from losscope.estimators.traces.draws import Draws, draw_until
from losscope.operators.layers import Layers


def of_batch(
    layers: Layers, target: Callable[[float], float], budget: Budget, most: float, random: torch.Generator
) -> Draws:
    """tr R of one batch, to an error of ``target(value)``; at most so many draws, and two at least."""
    if (name := shared(layers)) is not None:
        raise NotReadable("several layers share a parameter", seen=name)
    inputs = [layer.inputs() for layer in layers.layers]
    slope = [s.detach() for s in layers.batch.slope]
    pulled = torch.autograd.grad(
        layers.batch.predictions, layers.edges, slope, create_graph=True, allow_unused=True
    )
    known = [i for i, g in enumerate(pulled) if g is not None and g.requires_grad]

    def draw() -> Tensor:
        moved = moves(layers, inputs, random)
        total = torch.zeros(layers.samples, dtype=torch.float64, device=slope[0].device)
        if not known:
            return total
        bent = torch.autograd.grad(
            [pulled[i] for i in known],
            layers.edges,
            [moved[i] for i in known],
            retain_graph=True,
            allow_unused=True,
        )
        for layer, move, b in zip(layers.layers, moved, bent, strict=True):
            if b is not None:
                total += layer.by_sample((b.detach() * move).double())
        return total

    return (yield from draw_until(draw, target, budget, most=most))


def moves(layers: Layers, inputs: Sequence[Sequence[Tensor | None]], random: torch.Generator) -> list[Tensor]:
    """How each layer's output moves if every sample has its own α ⊗ β added to each parameter, random signs α, β.

    The adjoint of the factors of per-sample gradients, which are linear in the gradients of the outputs.
    """
    moved, like = [], layers.batch.predictions[0]
    for layer, taken in zip(layers.layers, inputs, strict=True):
        g = torch.zeros(layer.shape, dtype=like.dtype, device=like.device, requires_grad=True)
        along = g.new_zeros(())
        with torch.enable_grad():
            for _, factors in layer.factors(taken, g):
                along = along + factors.along(random)
        moved.append(torch.autograd.grad(along, g)[0] if along.requires_grad else torch.zeros_like(g))
    return moved


def shared(layers: Layers) -> str | None:
    """Where a parameter that is used more than once is used."""
    for found in layers.uses_of.values():
        if len(found) > 1:
            return str(found[0][0].edge.node.name())
    return None
