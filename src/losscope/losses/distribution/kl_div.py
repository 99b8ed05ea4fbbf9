"""Kullback-Leibler divergence Σ t (ln t - ln p) of a target distribution t from predicted p.

PyTorch: ``F.kl_div(log p, t)``; only ``reduction="batchmean"`` (or a sum over classes) is the divergence, ``"mean"``
divides by the number of classes too. :func:`kl_loss` takes logits and sums over classes. Up to the entropy of the
targets, which no model can change, it is the cross-entropy with t: its gradient in the logits is p - t.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import class_chance
from losscope.losses.graph.forms import LogProbabilities, is_softmax, log_probabilities
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats
from losscope.losses.xlogy import xlogy

__all__ = ["SPEC", "KLLoss", "kl_loss"]


def kl_loss(input: Tensor, target: Tensor, *, dim: int = 1, reduction: str = "mean") -> Tensor:
    """KL(``target`` ‖ softmax(``input``)) along ``dim``, in nats, one value per sample.

    ``input`` are logits, ``target`` probabilities of the same shape that sum to 1 along ``dim``; zeros are allowed,
    negative ones give NaN. "mean" divides by the number of samples. Kullback and Leibler 1951.

    >>> kl_loss(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 0.0, 0.0]])).exp().round().item()  # ln 4
    4.0
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    terms = F.kl_div(input.log_softmax(dim), target.to(input.dtype), reduction="none")
    return reduce(terms.sum(dim), reduction)


KLLoss = as_module(kl_loss, "KLLoss")


def _logit_hessian(input: Tensor, target: Tensor, options: Options) -> Tensor:
    del target, options
    p = input.softmax(1)
    return torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)


def _only_second(node: Node) -> Node | None:
    """The b of ``constant - b``."""
    if node.op == "Sub" and len(node.inputs) == 2 and node.inputs[0] is None:
        return node.inputs[1]
    return None


def _match(part: Part) -> Reading | None:
    """t·ln t - t·ln p, or t·(ln t - ln p)."""
    node = part.node
    if node.op == "Sub":
        product = _only_second(node)
        if product is None or product.op != "Mul" or None not in product.inputs:
            return None
        scores, target = _factors(product)
    else:
        difference, target = _factors(node)
        scores = _only_second(difference) if difference is not None else None
    found = log_probabilities(scores)
    if found is None or target is None or tuple(target.shape) != node.shape:
        return None
    return _reading(part, found, target)


def _factors(product: Node) -> tuple[Node | None, Tensor | None]:
    """(differentiable factor, constant factor) of a product."""
    if product.op != "Mul" or len(product.inputs) != 2 or None not in product.inputs:
        return None, None
    position = 0 if product.inputs[0] is not None else 1
    return product.inputs[position], product.saved("other" if position == 0 else "self")


def _reading(part: Part, found: LogProbabilities, target: Tensor) -> Reading:
    node = part.node
    log_p = output(found.node)
    axis = found.dim % len(node.shape) if found.dim is not None and node.shape else -1
    options = {"num_classes": node.shape[axis], "target": "distribution"}
    double = found.logits is not None and is_softmax(found.logits)
    # sum(1).mean() and batchmean give the divergence per row; a mean over all elements does not.
    per_row = node.shape[:axis] + node.shape[axis + 1 :] if axis >= 0 else node.shape
    whole = part.means and part.averaged == node.numel

    def divergence() -> Tensor | None:
        if log_p is None:
            return None
        return target.xlogy(target) - target * log_p

    return Reading(
        prediction=found.logits,
        tensor=log_p,
        target=target,
        options=options,
        elements=node.shape if whole else per_row,
        notes=("double-softmax",) if double else (),
        tensor_is="log-probabilities",
        output=divergence,
    )


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Cross-entropy of the mean target, less the targets' mean entropy: the Jensen-Shannon spread."""
    cross = class_chance(stats, options)
    if cross is None:
        return None
    rows, mean = stats.sample.rows, stats.columns.mean
    losses = (xlogy(rows, rows) - xlogy(rows, mean)).sum(1)
    return Estimate(cross.value - stats.mean_entropy, of_rows(losses, stats))


SPEC = LossSpec(
    name="kl_div",
    title="Kullback-Leibler divergence",
    also=("KL", "relative entropy"),
    family="distribution",
    task="distribution",
    formula=r"\sum_k t_k(\ln t_k-\ln p_k)",
    input_space="logits",
    function=kl_loss,
    module=KLLoss,
    arguments=(Argument("input", "logits"), Argument("target", "distribution")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", math.sqrt(2), why="‖p - t‖₂ per sample"),
        Claim("smooth", 0.5, why="λmax of diag(p) - ppᵀ"),
    ),
    gradient=lambda input, target, options: input.softmax(1) - target,
    logit_hessian=_logit_hessian,
    denominator="number of samples",
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Sub", "Mul"), _match),),
    references=("https://doi.org/10.1214/aoms/1177729694",),
    examples=(
        Example(
            "F.kl_div(x.log_softmax(1), s, reduction='batchmean')",
            "(s * (s.log() - x.log_softmax(1))).sum(1).mean()",
        ),
        Example(
            "F.kl_div(x.log_softmax(1), s.log(), reduction='batchmean', log_target=True)",
            "(s * (s.log() - x.log_softmax(1))).sum(1).mean()",
        ),
        Example(
            "(s * (s.log() - x.log_softmax(1))).sum(1).mean()",
            "F.kl_div(x.log_softmax(1), s, reduction='batchmean')",
        ),
    ),
    twins=(
        Twin("-(s * x.log_softmax(1)).sum(1).mean()", "cross_entropy"),
        Twin("(s * (s.log() - x)).sum(1).mean()", "unknown"),
    ),
)
