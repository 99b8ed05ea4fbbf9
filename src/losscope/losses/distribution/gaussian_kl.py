"""Kullback-Leibler divergence of N(μ, σ²) from N(0, 1): -½ (1 + ln σ² - μ² - σ²), the VAE's regulariser.

0 where the posterior has collapsed to the prior. Read from its three parts in any order, also with a predicted ln σ
instead of ln σ². Implementations differ by a factor: the negative evidence bound needs the sum over latent columns
(``reduction="batchmean"``, or "sum" where the reconstruction is summed too); "mean" divides by the number of columns
as well, which weakens the regulariser by that factor.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import square_of
from losscope.losses.graph.forms import strip
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.steps import constant_factor
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin

__all__ = ["SPEC", "GaussianKLLoss", "gaussian_kl_loss"]


def gaussian_kl_loss(mean: Tensor, log_variance: Tensor, *, reduction: str = "mean") -> Tensor:
    """KL(N(``mean``, exp(``log_variance``)) ‖ N(0, 1)) per element, in nats; the tensors have one shape.

    ``reduction`` also takes "batchmean": the sum over everything but the batch, as in the evidence bound. Kingma and
    Welling 2014, arXiv:1312.6114, appendix B.

    >>> gaussian_kl_loss(torch.full((2, 3), 2.0), torch.zeros(2, 3), reduction="batchmean").item()  # ½ · 4 · 3
    6.0
    """
    same_shape(mean, log_variance, ("mean", "log_variance"))
    mean, s = full_precision(mean, log_variance)
    losses = 0.5 * (mean.square() + torch.expm1(s) - s)
    if reduction == "batchmean":
        return reduce(losses.flatten(1).sum(1), "mean")
    return reduce(losses, reduction)


GaussianKLLoss = as_module(gaussian_kl_loss, "GaussianKLLoss")


def _near(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-6 * abs(second)


def _match(first: Part, parts: list[Part]) -> Reading | None:
    """exp(l) + μ² - l: begins at the exponential."""
    log_variance = _exponent(first.node)
    if log_variance is None or first.weights:
        return None
    mean = _mean_square(first, parts)
    linear = next((p for p in parts if _is_log_variance(p, first, log_variance)), None)
    if mean is None or linear is None:
        return None
    square = square_of(mean.node)
    return Reading(
        prediction=square,
        tensor=output(square) if square is not None else None,
        consumed=(first, mean, linear),
        factor=2 * first.scale,
        absorbs_constant=True,
    )


def _from_logarithm(first: Part, parts: list[Part]) -> Reading | None:
    """σ² + μ² - ln σ², or with 2 ln σ; begins at the logarithm (``torch.distributions.kl_divergence``)."""
    inner = first.node.inputs[0]
    if inner is None or first.weights:
        return None
    inner = strip(inner)
    for variance in parts:
        root = square_of(variance.node)
        if root is None or variance.weights:
            continue
        ratio = 1.0 if strip(variance.node) is inner else 2.0 if strip(root) is inner else 0.0
        if not ratio or not _near(first.scale, -ratio * variance.scale):
            continue
        mean = _mean_square(variance, [p for p in parts if p is not first])
        square = square_of(mean.node) if mean is not None else None
        if mean is None or square is None:
            continue
        return Reading(
            prediction=square,
            tensor=output(square),
            consumed=(variance, mean, first),
            factor=2 * variance.scale,
            absorbs_constant=True,
        )
    return None


def _exponent(node: Node) -> Node | None:
    """The l of exp(l), of exp(l/2)², or of σ² whose logarithm is another part."""
    if node.op == "Exp":
        return node.inputs[0]
    square = square_of(node)
    if square is not None and square.op == "Exp" and square.inputs[0] is not None:
        return square.inputs[0]
    return None


def _mean_square(first: Part, parts: list[Part]) -> Part | None:
    for part in parts:
        fits = part is not first and _near(part.scale, first.scale) and not part.weights
        if fits and square_of(part.node) is not None and _exponent(part.node) is None:
            return part
    return None


def _is_log_variance(part: Part, first: Part, log_variance: Node) -> bool:
    if part.weights or part is first:
        return False
    own, other = strip(part.node), strip(log_variance)
    if first.node.op == "Exp":
        return _same(own, other) and _near(part.scale, -first.scale * _factor(log_variance))
    return _same(own, other) and _near(part.scale, -2 * first.scale)


def _same(first: Node, second: Node) -> bool:
    return _unscaled(first) is _unscaled(second)


def _unscaled(node: Node) -> Node:
    node = strip(node)
    if node.op == "Mul" and len([i for i in node.inputs if i is not None]) == 1:
        return strip(next(i for i in node.inputs if i is not None))
    return node


def _factor(node: Node) -> float:
    """The 2 of exp(2·l)."""
    found = constant_factor(strip(node)) if strip(node).op == "Mul" else None
    return found[1] if found is not None and isinstance(found[1], float) else 1.0


SPEC = LossSpec(
    name="gaussian_kl",
    title="divergence of a Gaussian posterior from the standard normal",
    family="distribution",
    task="distribution",
    formula=r"-\tfrac12\left(1+\ln\sigma^2-\mu^2-\sigma^2\right)",
    input_space="values",
    function=gaussian_kl_loss,
    module=GaussianKLLoss,
    arguments=(Argument("mean", "values"), Argument("log_variance", "log-scale")),
    variants=({"reduction": "sum"}, {"reduction": "batchmean"}),
    range=(0.0, math.inf),
    attained="where the posterior is the prior: mean 0, variance 1",
    value_is_progress=False,
    unit="nats",
    claims=(Claim("convex", why="jointly in mean and ln σ²"), Claim("permutation-equivariant")),
    floor=zero_floor,
    combinations=(Combination(("Exp", "Pow", "Mul"), _match), Combination(("Log",), _from_logarithm)),
    references=("https://arxiv.org/abs/1312.6114",),
    examples=(
        Example(
            "-0.5 * torch.sum(1 + u - x.pow(2) - u.exp())",
            "(0.5 * (u.exp() + x ** 2 - 1 - u)).sum()",
            "sum",
        ),
        Example(
            "0.5 * (x ** 2 + u.exp() - u - 1).sum(1).mean()",
            "(0.5 * (u.exp() + x ** 2 - 1 - u)).sum() / x.shape[0]",
            "batchmean",
        ),
        Example(
            "torch.distributions.kl_divergence(torch.distributions.Normal(x, v), "
            "torch.distributions.Normal(0.0, 1.0)).sum(1).mean()",
            "(0.5 * (v ** 2 + x ** 2 - 1) - v.log()).sum(1).mean()",
            "batchmean",
        ),
        Example(
            "(0.5 * (x ** 2 + v ** 2 - 1) - v.log()).sum()",
            "(0.5 * (v ** 2 + x ** 2 - 1) - v.log()).sum()",
            "sum",
        ),
        Example("-0.5 * torch.mean(1 + u - x ** 2 - u.exp())", "(0.5 * (u.exp() + x ** 2 - 1 - u)).mean()"),
    ),
    twins=(
        Twin("(0.5 * (x ** 2 + v ** 2 - 1) - 3 * v.log()).sum()", "mean_square"),
        Twin("-0.5 * torch.sum(1 + u - x.pow(2) - x.exp())", "unknown"),
    ),
)
