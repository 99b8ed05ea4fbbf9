"""Conditional flow matching on straight paths: squared error of a velocity against data minus noise.

x_t = (1 - t) x₀ + t x₁ from noise x₀ to data x₁ has the velocity x₁ - x₀; the network sees x_t and t only. The
minimiser is the mean velocity E[x₁ - x₀ | x_t], whose flow carries noise to data. The value: the velocity of a single
pair cannot be known, so the floor is above 0 and unknown; the best constant costs Var(x₁) + Var(x₀), that is 2 for
normalised data and unit noise. It says how straight the paths are that the pairing leaves, and little about the
quality of samples. Trap: half of the literature runs from data to noise, with the other sign. Sources:
arXiv:2210.02747, 2302.00482, 2209.03003 (rectified flow).
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "FlowMatchingLoss", "flow_matching_loss", "straight_path"]


def flow_matching_loss(input: Tensor, noise: Tensor, data: Tensor, *, reduction: str = "mean") -> Tensor:
    """(``input`` - (``data`` - ``noise``))² per element, all of one shape; ``input`` is the velocity at (x_t, t).

    float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where shapes differ.

    >>> import torch
    >>> float(flow_matching_loss(torch.tensor([1.0]), torch.tensor([-1.0]), torch.tensor([2.0])))
    4.0
    """
    same_shape(input, noise, ("input", "noise"))
    same_shape(input, data, ("input", "data"))
    input, noise, data = full_precision(input, noise, data)
    return reduce((input - (data - noise)).square(), reduction)


def straight_path(noise: Tensor, data: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) noise + t data for times ``t`` [N] and samples [N, …].

    >>> import torch
    >>> straight_path(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([0.25, 1.0])).tolist()
    [[0.25], [1.0]]
    """
    t = t.reshape(-1, *[1] * (data.dim() - 1))
    return (1 - t) * noise + t * data


FlowMatchingLoss = as_module(flow_matching_loss, "FlowMatchingLoss")

SPEC = LossSpec(
    name="flow_matching",
    title="conditional flow matching",
    also=("rectified flow",),
    family="generative",
    task="generative",
    formula=r"\bigl(v_\theta(x_t,t)-(x_1-x_0)\bigr)^2",
    input_space="values",
    function=flow_matching_loss,
    module=FlowMatchingLoss,
    arguments=(Argument("input", "values"), Argument("noise", "real"), Argument("data", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where every pair's velocity is known, which x_t does not allow",
    elicits="mean velocity at (x_t, t)",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("smooth", 2.0),
        Claim("lipschitz", 1.0, holds=False, why="grows with the residual"),
    ),
    exceptions={"descent": "the target is data - noise, neither of the two that are given"},
    references=(
        "https://arxiv.org/abs/2210.02747",
        "https://arxiv.org/abs/2302.00482",
        "https://arxiv.org/abs/2209.03003",
    ),
)
