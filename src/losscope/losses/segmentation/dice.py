"""Soft Dice loss 1 - 2Σpt / (Σp + Σt), also with smoothing and with squares in the denominator.

0 where prediction and mask agree. Undefined (0/0) for an empty mask without smoothing.
"""

from losscope.losses.graph.differences import square_of
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _overlap(node: Node) -> Part | None:
    """The Σ p·t in the numerator, with its factor and the target as weight."""
    parts = parts_of(node, lambda _: False).parts
    if len(parts) != 1 or len(parts[0].weights) != 1 or not parts[0].sums:
        return None
    return parts[0]


def _match(part: Part) -> Reading | None:
    """2Σpt over Σp (+ Σt, a constant)."""
    top, bottom = (*part.node.inputs, None)[:2]
    if top is None or bottom is None or part.scale > 0:
        return None
    overlap = _overlap(top)
    if overlap is None:
        return None
    totals = parts_of(bottom, lambda _: False).parts
    if len(totals) != 1 or totals[0].weights or not abs(overlap.scale - 2 * totals[0].scale) < 1e-6:
        return None
    below = square_of(totals[0].node) or totals[0].node
    if below is not overlap.node:
        return None
    return Reading(
        prediction=overlap.node,
        tensor=output(overlap.node),
        target=overlap.weights[0],
        options={"target": "binary"},
        sign=-1.0,
        absorbs_constant=True,
    )


SPEC = LossSpec(
    name="dice",
    title="Dice loss",
    family="segmentation",
    task="segmentation",
    formula=r"1-\frac{2\sum_i p_i t_i}{\sum_i p_i+\sum_i t_i}",
    input_space="probabilities",
    range=(0.0, 1.0),
    floor=zero_floor,
    signatures=(Signature(("Div",), _match),),
    references=("https://arxiv.org/abs/1606.04797",),
    examples=(
        Example(
            "1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)",
            "1 - (2 * (p * t).sum() + 1) / ((p + t).sum() + 1)",
            "none",
            activation="sigmoid",
        ),
        Example(
            "1 - ((2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()",
            "(1 - (2 * (p * t).sum(1) + 1) / ((p + t).sum(1) + 1)).mean()",
            "mean",
            activation="sigmoid",
        ),
    ),
    twins=(
        Twin("1 - (p * t).sum() / (p.sum() + t.sum())", "unknown"),
        Twin("1 - 2 * (p * t).sum() / (v.sum() + t.sum())", "unknown"),
    ),
)
