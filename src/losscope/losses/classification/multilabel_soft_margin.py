"""Multi-label soft margin: the mean over classes of the binary cross-entropy of logits.

PyTorch: ``F.multilabel_soft_margin_loss``. Under ``mean`` it equals ``binary_cross_entropy_with_logits``, chance level
and floor included; under ``sum`` and ``none`` it is smaller by the factor C, because classes are always averaged: each
label's gradient falls as 1/C.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.bernoulli import bernoulli_chance, bernoulli_floor
from losscope.losses.classification.binary_cross_entropy_with_logits import averages_classes, log_sigmoid_pair
from losscope.losses.graph.part import Part
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


def _match(first: Part, parts: list[Part]) -> Reading | None:
    """The two log-sigmoids, summed over the last axis and divided by its length."""
    reading = log_sigmoid_pair(first, parts) if averages_classes(first) else None
    if reading is None:
        return None
    shape = first.node.shape
    return replace(reading, factor=first.scale * shape[-1], elements=shape[:-1])


SPEC = LossSpec(
    name="multilabel_soft_margin",
    title="multi-label soft margin loss",
    family="classification",
    task="multi-label",
    formula=r"\frac1C\sum_c\left[\ln(1+e^{z_c})-t_c z_c\right]",
    input_space="logits",
    function=F.multilabel_soft_margin_loss,
    module=torch.nn.MultiLabelSoftMarginLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "unit")),
    sizes={"D": 3},
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin, for targets of 0 and 1",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("strictly-proper"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 3**-0.5, why="‖σ - t‖₂/C ≤ 1/√C per sample, here of C = 3 classes"),
        Claim("smooth", 1 / 12, why="1/(4C) per sample, here of C = 3 classes"),
    ),
    gradient=lambda input, target, options: (input.sigmoid() - target) / input.shape[1],
    denominator="number of samples; the classes of a sample are always averaged",
    chance=bernoulli_chance,
    floor=bernoulli_floor,
    normaliser=lambda _: math.log(2),
    combinations=(Combination(("LogSigmoid",), _match),),
    exceptions={
        "broadcasting": "torch averages the last axis and accepts [N, 1] against [N]",
        "empty-batch": "as PyTorch does everywhere",
    },
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html",),
    examples=(
        Example(
            "F.multilabel_soft_margin_loss(x, t.round())", "F.binary_cross_entropy_with_logits(x, t.round())"
        ),
    ),
    twins=(
        Twin(
            "-(t * F.logsigmoid(x) + (1 - t) * F.logsigmoid(-x)).mean()", "binary_cross_entropy_with_logits"
        ),
    ),
)
