"""Focal loss (1 - p_t)^γ · CE: cross-entropy with easy samples weighted down.

Recognised for classes, ``(1 - exp(-ce)) ** gamma * ce``, and for binary targets over the logits' binary
cross-entropy (torchvision's ``sigmoid_focal_loss``).
"""

import math

from losscope.losses.classification.class_forms import NLL_OPS
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

_ENTROPIES = frozenset({*NLL_OPS, "BinaryCrossEntropyWithLogits", "BinaryCrossEntropy"})


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
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(Signature(("Mul",), _match),),
    references=("https://arxiv.org/abs/1708.02002",),
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
