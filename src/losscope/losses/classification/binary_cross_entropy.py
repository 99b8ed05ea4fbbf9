"""Binary cross-entropy of probabilities: -t ln p - (1 - t) ln(1 - p).

Strictly proper and convex in p; the mean over elements in nats, so ln 2 for p = ½ everywhere. With targets between 0
and 1 the floor is their mean entropy, not 0. PyTorch: ``F.binary_cross_entropy``, which clamps each logarithm at -100,
so one wrong certain prediction costs 100 and gets a gradient of 1e12. Raises for p outside [0, 1]; raw scores belong
in ``binary_cross_entropy_with_logits``, which is also the precise form near 0 and 1.
``-(t * p.log() + (1 - t) * (1 - p).log())`` by hand is read as the same loss.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.bernoulli import bernoulli_chance, bernoulli_floor
from losscope.losses.graph.constants import product
from losscope.losses.graph.endings import is_linear_layer
from losscope.losses.graph.forms import TRANSPARENT, activation
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Options, Reading, Signature, Twin

_CHECKED = 64


def probability_notes(prediction: Node | None) -> tuple[str, ...]:
    """``missing-activation`` where a layer's raw output is taken for a probability."""
    if prediction is None or activation(prediction) is not None:
        return ()
    return ("missing-activation",) if is_linear_layer(prediction.skip(TRANSPARENT)) else ()


def _fused(part: Part) -> Reading | None:
    node = part.node
    options: dict[str, object] = {"target": "binary"}
    weight = node.saved("weight")
    if weight is not None:
        options["weight"] = weight.reshape(-1).tolist() if weight.dim() <= 1 else True
    return Reading(
        prediction=node.inputs[0],
        tensor=node.saved("self"),
        target=node.saved("target"),
        target_node=(*node.inputs, None)[1],
        options=options,
        reduction=own_reduction(node),
        notes=probability_notes(node.inputs[0]),
    )


def complement_of(node: Node) -> Node | None:
    """The p of ``1 - p``."""
    node = node.skip(TRANSPARENT)
    if node.op == "Rsub" or (node.op == "Sub" and node.inputs[0] is None):
        return next((i for i in node.inputs if i is not None), None)
    return None


def _sum_to_one(first: Part, second: Part) -> bool:
    """Whether the arguments of two logarithms are p and 1 - p; autograd does not keep the 1."""
    one, other = first.node.saved("self"), second.node.saved("self")
    if one is None or other is None or one.shape != other.shape:
        return False
    total = (one.reshape(-1)[:_CHECKED] + other.reshape(-1)[:_CHECKED]).float()
    return bool(((total - 1).abs() < 1e-2).all())


def _hand_written(first: Part, parts: list[Part]) -> Reading | None:
    """t·ln p + (1 - t)·ln(1 - p) with constant t."""
    probability = first.node.inputs[0]
    weight = product(first.weights)
    if probability is None or weight is None or complement_of(probability) is not None:
        return None
    probability = probability.skip(TRANSPARENT | {"Add"})
    for part in parts:
        inner = part.node.inputs[0] if part.node.op in ("Log", "Log1P") and part.node.inputs else None
        if part is first or inner is None or abs(part.scale - first.scale) > 1e-6 * abs(first.scale):
            continue
        other = complement_of(inner.skip(TRANSPARENT | {"Add"}))
        if other is None or other.skip(TRANSPARENT) is not probability or not _sum_to_one(first, part):
            continue
        rest = product(part.weights)
        if rest is None or rest.shape != weight.shape or not bool(((weight + rest - 1).abs() < 1e-3).all()):
            continue
        return Reading(
            prediction=probability,
            tensor=output(probability),
            target=weight.expand(first.node.shape),
            options={"target": "binary"},
            weights=(),
            sign=-1.0,
            consumed=(first, part),
            tensor_is="probabilities",
        )
    return None


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """(p - t) / (p(1 - p)), whose denominator torch keeps above 1e-12."""
    del options
    return (input - target) / (input * (1 - input)).clamp(min=1e-12)


SPEC = LossSpec(
    name="binary_cross_entropy",
    title="binary cross-entropy",
    also=("BCE",),
    family="classification",
    task="binary",
    formula=r"-t\ln p-(1-t)\ln(1-p)",
    input_space="probabilities",
    function=F.binary_cross_entropy,
    module=torch.nn.BCELoss,
    arguments=(Argument("input", "probabilities"), Argument("target", "unit")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree and are 0 or 1",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex", why="in the probability"),
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, holds=False, why="the slope is 1/p near a probability of 0"),
    ),
    gradient=_gradient,
    chance=bernoulli_chance,
    floor=bernoulli_floor,
    normaliser=lambda _: math.log(2),
    exceptions={
        "empty-batch": "as PyTorch does everywhere",
        "finite": "F.binary_cross_entropy divides by p(1 - p) + 1e-12, which is 0/0 in float16 at a right certainty",
    },
    signatures=(Signature(("BinaryCrossEntropy",), _fused),),
    combinations=(Combination(("Log",), _hand_written),),
    references=("https://doi.org/10.1198/016214506000001437",),
    examples=(
        Example(
            "F.binary_cross_entropy(x.sigmoid(), t)",
            "(F.softplus(x) - t * x).mean()",
            activation="sigmoid",
            options={"target": "binary"},
        ),
        Example(
            "F.binary_cross_entropy(x.sigmoid(), t, reduction='sum')",
            "(F.softplus(x) - t * x).sum()",
            "sum",
            activation="sigmoid",
        ),
        Example(
            "-(t * p.log() + (1 - t) * (1 - p).log()).mean()",
            "F.binary_cross_entropy(p, t)",
            activation="sigmoid",
        ),
        Example(
            "(-t * p.log() - (1 - t) * (1 - p).log()).mean()",
            "F.binary_cross_entropy(p, t)",
            activation="sigmoid",
        ),
        Example(
            "2 * F.binary_cross_entropy(p, t)",
            "F.binary_cross_entropy(p, t)",
            coefficient=2.0,
            activation="sigmoid",
        ),
    ),
    twins=(
        Twin("-(t * p.log() + (1 - t) * (2 - p).log()).mean()", "unknown"),
        Twin("F.binary_cross_entropy_with_logits(x, t)", "binary_cross_entropy_with_logits"),
    ),
)
