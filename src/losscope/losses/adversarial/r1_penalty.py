"""R1 penalty: (γ/2)‖∇ₓ D(x)‖² at real samples, which makes GAN training converge locally (R2: at generated ones).

It takes the discriminator's gradients, one per sample; ``input_gradient`` makes them, with a graph. 0 for a constant
discriminator, which is also its optimum at the equilibrium. It is a sum over the elements of a sample, so γ has to be
scaled with the resolution. The value says how steep the discriminator is, not how good anything is.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "R1Penalty", "input_gradient", "r1_penalty"]


def r1_penalty(input: Tensor, *, weight: float = 10.0, reduction: str = "mean") -> Tensor:
    """(γ/2)‖g‖² for the discriminator's gradients ``input`` [N, …] with respect to its N samples; ``weight`` is γ.

    Mescheder et al., arXiv:1801.04406, eq. 9.

    >>> float(r1_penalty(torch.tensor([[3.0, 4.0]]), weight=1.0))
    12.5
    """
    require_not_negative(weight=weight)
    (input,) = full_precision(input)
    return reduce(0.5 * weight * input.flatten(1).square().sum(1), reduction)


def input_gradient(discriminator: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Gradients [N, …] of ``discriminator`` at ``samples`` [N, …], with their graph."""
    points = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    return gradient


R1Penalty = as_module(r1_penalty, "R1Penalty")

SPEC = LossSpec(
    name="r1_penalty",
    title="R1 gradient penalty",
    also=("R1",),
    family="adversarial",
    task="game",
    formula=r"\tfrac\gamma2\|\nabla_x D(x)\|_2^2",
    input_space="values",
    function=r1_penalty,
    module=R1Penalty,
    arguments=(Argument("input", "embeddings"),),
    variants=({"weight": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where the discriminator is flat",
    value_is_progress=False,
    floor=zero_floor,
    claims=(Claim("convex"), Claim("smooth", 10.0, why="γ"), Claim("permutation-equivariant")),
    denominator="number of samples",
    references=("https://arxiv.org/abs/1801.04406",),
)
