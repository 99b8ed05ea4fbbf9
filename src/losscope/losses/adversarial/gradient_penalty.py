"""WGAN-GP's gradient penalty: λ(‖∇ₓ D(x)‖₂ - 1)² at points between real and generated samples.

It holds the slope of a critic near 1. It takes the critic's gradients, one per sample; ``interpolated_gradient``
makes them, with a graph, so that the penalty can be differentiated again. **λ** (10) is the value for a critic that is
constant, where its gradient is 0: the norm has no derivative there, and a plain ``.norm()`` differentiated twice gives
NaN; here the penalty's gradient is 0 at that point. A value near 0 says that the constraint is kept, nothing about
samples.

>>> import torch
>>> critic = torch.nn.Linear(2, 1)
>>> gradients = interpolated_gradient(critic, torch.zeros(3, 2), torch.ones(3, 2))
>>> gradient_penalty(gradients).requires_grad
True
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import norm
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "GradientPenalty", "gradient_penalty", "interpolated_gradient"]


def gradient_penalty(
    input: Tensor, *, weight: float = 10.0, one_sided: bool = False, reduction: str = "mean"
) -> Tensor:
    """λ(‖g‖ - 1)² for the critic's gradients ``input`` [N, …] with respect to its N input samples.

    ``one_sided`` penalises only norms above 1. ``weight`` is λ. Gulrajani et al., arXiv:1704.00028, eq. 3.

    >>> float(gradient_penalty(torch.tensor([[3.0, 4.0]])))
    160.0
    """
    require_not_negative(weight=weight)
    (input,) = full_precision(input)
    excess = norm(input.flatten(1)) - 1
    return reduce(weight * (excess.relu() if one_sided else excess).square(), reduction)


def interpolated_gradient(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Gradients [N, …] of ``critic`` at a random point between each real and generated sample, with their graph.

    The points do not carry the generator's graph. A critic that couples samples (BatchNorm) makes them meaningless.
    """
    same_shape(real, fake, ("real", "fake"))
    shape = (len(real), *(1,) * (real.dim() - 1))
    t = torch.rand(shape, generator=generator, dtype=real.dtype, device=real.device)
    points = torch.lerp(real.detach(), fake.detach(), t.expand_as(real)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return gradient


GradientPenalty = as_module(gradient_penalty, "GradientPenalty")

SPEC = LossSpec(
    name="gradient_penalty",
    title="WGAN-GP's gradient penalty",
    also=("WGAN-GP",),
    family="adversarial",
    task="game",
    formula=r"\lambda\,(\|\nabla_x D(x)\|_2-1)^2",
    input_space="values",
    function=gradient_penalty,
    module=GradientPenalty,
    arguments=(Argument("input", "embeddings"),),
    variants=({"weight": 1.0}, {"one_sided": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every gradient has length 1",
    value_is_progress=False,
    floor=zero_floor,
    claims=(Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of samples",
    references=("https://arxiv.org/abs/1704.00028",),
)
