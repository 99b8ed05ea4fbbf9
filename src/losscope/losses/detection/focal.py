"""Focal loss (1 - p)^γ · (-ln p) of the true class's probability p: cross-entropy with easy samples weighted down.

γ = 0 is cross-entropy; γ = 2 is usual. 0 in the limit of an infinite margin, unbounded. It is not convex and not
proper: its minimiser is a distribution flatter than the class probabilities (so that outputs look under-confident),
but the likeliest class keeps the largest score. Use it where almost all samples are easy. Traps: gradients are much
smaller than those of cross-entropy, so that other terms and the learning rate weigh more; computed from p in float16,
or with γ < 1 by ``pow``, the gradient is NaN at p = 1, here it is computed in logarithms. Recognised for classes,
``(1 - exp(-ce)) ** gamma * ce``, and for binary targets over the logits' binary cross-entropy (torchvision's
``sigmoid_focal_loss``; see ``sigmoid_focal``). Sources: arXiv:1708.02002; calibration: arXiv:2011.09172.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_forms import NLL_OPS
from losscope.losses.detection.focal_chance import LARGEST_SLOPE, class_chance
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import IGNORED, check_classes
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin

__all__ = ["SPEC", "FocalLoss", "focal_loss"]

_ENTROPIES = frozenset({*NLL_OPS, "BinaryCrossEntropyWithLogits", "BinaryCrossEntropy"})


def focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """(1 - p)^γ (-ln p) with p = softmax(``input``) at the target class.

    ``input`` [N, C, …] logits, ``target`` [N, …] class indices, ``gamma`` ≥ 0, ``weight`` [C] per class: "mean"
    divides by Σ w[y], as ``F.cross_entropy`` does. Targets of ``ignore_index`` do not count, NaN in their scores
    included; a mean over nothing is 0. Value and gradient are finite at any finite scores. float16 and bfloat16 are
    computed and returned in float32. A class outside 0 … C - 1 raises. Lin et al., arXiv:1708.02002, eq. 4.

    >>> float(focal_loss(torch.zeros(1, 2), torch.tensor([0])) / math.log(2))
    0.25
    """
    require_not_negative(gamma=gamma)
    check_classes(input, target)
    (input,) = full_precision(input)
    ignored = target == ignore_index
    y = target.long().masked_fill(ignored, 0)[:, None]
    log_p = input.masked_fill(ignored[:, None], 0.0).log_softmax(1)
    # ln(1 - p) from the other classes, exact where p is near 1; of a single class it is (finite) minus infinity.
    log_rest = log_p.scatter(1, y, torch.finfo(log_p.dtype).min / 1e4).logsumexp(1)
    losses = (gamma * log_rest).exp() * -log_p.gather(1, y)[:, 0]
    counted = ~ignored if weight is None else weight.to(log_p.dtype)[y[:, 0]] * ~ignored
    return reduce(losses, reduction, counted)


FocalLoss = as_module(focal_loss, "FocalLoss")


def _slopes(p: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """ψ = p φ'(p) and ψ' of φ = -(1 - p)^γ ln p."""
    rest, log = (1 - p) ** (gamma - 1), p.log()
    first = -(1 - p) * rest + gamma * p * rest * log
    return first, gamma * rest * (2 + log) - gamma * (gamma - 1) * p * (1 - p) ** (gamma - 2) * log


def _gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """ψ (e_y - p)."""
    p = logits.softmax(1)
    hot = torch.nn.functional.one_hot(target, logits.shape[1])
    first, _ = _slopes(p.gather(1, target[:, None]), float(options.get("gamma", 2.0)))
    return first * (hot - p)


def _logit_hessian(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """ψ' p_y (e_y - p)(e_y - p)ᵀ - ψ (diag p - ppᵀ)."""
    p = logits.softmax(1)
    chosen = p.gather(1, target[:, None])
    away = torch.nn.functional.one_hot(target, logits.shape[1]) - p
    first, second = (s[:, :, None] for s in _slopes(chosen, float(options.get("gamma", 2.0))))
    outer = away[:, :, None] * away[:, None, :]
    return second * chosen[:, :, None] * outer - first * (torch.diag_embed(p) - p[:, :, None] * p[:, None, :])


def _modulation(node: Node) -> tuple[Node, float] | None:
    """p_t and γ of (1 - p_t)^γ."""
    if node.op != "Pow" or node.variant != 0 or node.inputs[0] is None:
        return None
    inner = node.inputs[0]
    if inner.op not in ("Rsub", "Sub"):
        return None
    probability = next((i for i in inner.inputs if i is not None), None)
    return None if probability is None else (probability, float(node.option("exponent")))


def _match(part: Part) -> Reading | None:
    """The product of an unreduced cross-entropy and the modulation made of it (or of its sigmoid)."""
    sides = [_without_constant(child) for child in part.node.inputs if child is not None]
    if len(sides) != 2:
        return None
    for entropy, factor in (sides, sides[::-1]):
        found = _modulation(factor)
        if entropy.op not in _ENTROPIES or found is None or not _made_of(found[0], entropy):
            continue
        scores = entropy.inputs[0]
        return Reading(
            prediction=scores.inputs[0] if scores is not None and scores.op == "LogSoftmax" else scores,
            tensor=entropy.saved("self"),
            target=entropy.saved("target"),
            options={"gamma": found[1], "target": "class" if entropy.op in NLL_OPS else "binary"},
        )
    return None


def _without_constant(node: Node) -> Node:
    """Below multiplication by a constant, such as α_t."""
    while node.op == "Mul" and None in node.inputs:
        node = next(i for i in node.inputs if i is not None)
    return node


def _made_of(probability: Node, entropy: Node) -> bool:
    """exp(-ce), or an expression of the sigmoid of the same scores."""
    scores = entropy.inputs[0]
    if probability.op == "Exp" and probability.inputs[0] is not None:
        return probability.inputs[0].inputs[:1] == (entropy,)
    stack, visits = [probability], 0
    while stack and visits < 12:
        node = stack.pop()
        visits += 1
        if node.op in ("Sigmoid", "Softmax") and node.inputs[:1] == (scores,):
            return True
        stack.extend(i for i in node.inputs if i is not None)
    return False


SPEC = LossSpec(
    name="focal",
    title="focal loss",
    family="detection",
    task="multi-class",
    formula=r"-(1-p_t)^\gamma\ln p_t",
    input_space="logits",
    function=focal_loss,
    module=FocalLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"gamma": 0.5}, {"gamma": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="mode",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is flatter than the class probabilities"),
        Claim("calibrated"),
        Claim("lipschitz", math.sqrt(2) * LARGEST_SLOPE, why="γ = 2, at p = 0.058 with one rival class"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of targets that count, or Σ w[y] with class weights",
    chance=class_chance,
    floor=zero_floor,
    signatures=(Signature(("Mul",), _match),),
    references=("https://arxiv.org/abs/1708.02002", "https://arxiv.org/abs/2011.09172"),
    examples=(
        Example(
            "((1 - torch.exp(-ce)) ** 2 * ce).mean()",
            "((1 - torch.exp(-ce)) ** 2 * ce).mean()",
            options={"gamma": 2.0},
        ),
        Example(
            "(bce * (1 - (p * t + (1 - p) * (1 - t))) ** 2).mean()",
            "((1 - p * t - (1 - p) * (1 - t)) ** 2 * bce).mean()",
            options={"gamma": 2.0},
        ),
    ),
    twins=(Twin("((1 - torch.exp(-ce)) ** 2 * bce[:, 0]).mean()", "unknown"),),
)
