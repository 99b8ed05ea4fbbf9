"""Binary cross-entropy of logits: softplus(z) - t·z, the stable form of -t ln σ(z) - (1-t) ln(1-σ(z)).

Convex and strictly proper; ln 2 for z = 0. With targets between 0 and 1 the floor is their mean entropy. ``pos_weight``
c multiplies the positive part: the minimiser becomes c·q/(c·q + 1 - q), no longer the probability q. PyTorch:
``F.binary_cross_entropy_with_logits``. Written by hand as ``softplus(z) - t * z`` or with two log-sigmoids it is read
as the same loss. A target [N] against an input [N, 1] raises; a ``weight`` or ``pos_weight`` broadcasts.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.bernoulli import bernoulli_chance, bernoulli_floor
from losscope.losses.graph.constants import product
from losscope.losses.graph.forms import activation, strip
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Options, Reading, Signature, Twin


def logit_notes(prediction: Node | None) -> tuple[str, ...]:
    """``sigmoid-before-logits-loss`` where probabilities are taken for logits."""
    squashed = prediction is not None and activation(prediction) in ("sigmoid", "softmax")
    return ("sigmoid-before-logits-loss",) if squashed else ()


def logit_options(prediction: Node | None) -> dict[str, object]:
    options: dict[str, object] = {"target": "binary"}
    if prediction is not None and activation(prediction) == "sigmoid":
        options["double_sigmoid"] = True
    return options


def _fused(part: Part) -> Reading | None:
    node = part.node
    options = logit_options(node.inputs[0])
    for name in ("weight", "pos_weight"):
        given = node.saved(name)
        if given is not None:
            options[name] = given.reshape(-1).tolist() if given.dim() <= 1 else True
    return Reading(
        prediction=node.inputs[0],
        tensor=node.saved("self"),
        target=node.saved("target"),
        target_node=(*node.inputs, None)[1],
        options=options,
        reduction=own_reduction(node),
        notes=logit_notes(node.inputs[0]),
    )


def _softplus_form(first: Part, parts: list[Part]) -> Reading | None:
    """softplus(z) - t·z."""
    logits = first.node.inputs[0]
    if logits is None or first.weights or first.node.option("beta", 1) != 1:
        return None
    for part in parts:
        target = product(part.weights)
        if target is None or strip(part.node) is not strip(logits) or not _close(part.scale, -first.scale):
            continue
        return Reading(
            prediction=logits,
            tensor=first.node.saved("self"),
            target=target.expand(part.node.shape),
            options=logit_options(logits),
            consumed=(first, part),
            notes=logit_notes(logits),
        )
    return None


def _close(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-6 * abs(second)


def log_sigmoid_pair(first: Part, parts: list[Part]) -> Reading | None:
    """t·logσ(z) + (1-t)·logσ(-z)."""
    logits = first.node.inputs[0]
    weight = product(first.weights)
    if logits is None or weight is None or logits.op == "Neg":
        return None
    for part in parts:
        inner = part.node.inputs[0] if part.node.op == "LogSigmoid" else None
        if inner is None or inner.op != "Neg" or not _close(part.scale, first.scale):
            continue
        if inner.inputs[0] is None or strip(inner.inputs[0]) is not strip(logits):
            continue
        rest = product(part.weights)
        if rest is None or rest.shape != weight.shape or not bool(((weight + rest - 1).abs() < 1e-3).all()):
            continue
        return Reading(
            prediction=logits,
            tensor=output(logits),
            target=weight.expand(first.node.shape),
            options=logit_options(logits),
            weights=(),
            sign=-1.0,
            consumed=(first, part),
            notes=logit_notes(logits),
        )
    return None


def averages_classes(part: Part) -> bool:
    """Whether the code divided a sum over the last axis by its length, as the multi-label loss does."""
    shape = part.node.shape
    return len(shape) > 1 and part.sums > 0 and any(_close(d, shape[-1]) for d in part.divisors)


def _log_sigmoid_form(first: Part, parts: list[Part]) -> Reading | None:
    return None if averages_classes(first) else log_sigmoid_pair(first, parts)


def _positive(target: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """The weights of softplus(-z) and softplus(z)."""
    return options.get("pos_weight", 1.0) * target, 1 - target


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """σ(z) - t, for ``pos_weight`` c: (1 - t)σ(z) - c·t·σ(-z)."""
    positive, negative = _positive(target, options)
    return negative * input.sigmoid() - positive * (-input).sigmoid()


def _logit_hessian(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """Diagonal: σ(1 - σ), whatever the target (without ``pos_weight``)."""
    positive, negative = _positive(target, options)
    return torch.diag_embed((positive + negative) * input.sigmoid() * (-input).sigmoid())


SPEC = LossSpec(
    name="binary_cross_entropy_with_logits",
    title="binary cross-entropy of logits",
    also=("sigmoid cross-entropy",),
    family="classification",
    task="binary",
    formula=r"\ln(1+e^{z})-t z",
    input_space="logits",
    function=F.binary_cross_entropy_with_logits,
    module=torch.nn.BCEWithLogitsLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "unit")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin, for targets of 0 and 1",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, why="|σ(z) - t| per element; times max(1, pos_weight)"),
        Claim("smooth", 0.25, why="σ(1 - σ) per element; times max(1, pos_weight)"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    chance=bernoulli_chance,
    floor=bernoulli_floor,
    normaliser=lambda _: math.log(2),
    exceptions={"empty-batch": "as PyTorch does everywhere"},
    signatures=(Signature(("BinaryCrossEntropyWithLogits",), _fused),),
    combinations=(
        Combination(("Softplus",), _softplus_form),
        Combination(("LogSigmoid",), _log_sigmoid_form),
    ),
    references=("https://doi.org/10.1198/016214506000001437",),
    examples=(
        Example(
            "F.binary_cross_entropy_with_logits(x, t)", "-(t * p.log() + (1 - t) * (1 - p).log()).mean()"
        ),
        Example(
            "F.binary_cross_entropy_with_logits(x, t, pos_weight=w, reduction='sum')",
            "-(w * t * p.log() + (1 - t) * (1 - p).log()).sum()",
            "sum",
        ),
        Example(
            "F.binary_cross_entropy_with_logits(p, t)",
            "(F.softplus(p) - t * p).mean()",
            activation="sigmoid",
            notes=("sigmoid-before-logits-loss",),
        ),
        Example("(F.softplus(x) - t * x).mean()", "F.binary_cross_entropy_with_logits(x, t)"),
        Example(
            "-(t * F.logsigmoid(x) + (1 - t) * F.logsigmoid(-x)).mean()",
            "F.binary_cross_entropy_with_logits(x, t)",
        ),
        Example(
            "F.binary_cross_entropy_with_logits(x, t, reduction='none').sum(1).mean()",
            "F.binary_cross_entropy_with_logits(x, t, reduction='sum') / x.shape[0]",
            "batchmean",
        ),
    ),
    twins=(
        Twin("(F.softplus(x, beta=2) - t * x).mean()", "unknown"),
        Twin("F.binary_cross_entropy(p, t)", "binary_cross_entropy"),
    ),
)
