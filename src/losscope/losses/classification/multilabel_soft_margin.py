"""Multi-label soft margin: the mean over classes of the binary cross-entropy of logits.

PyTorch: ``F.multilabel_soft_margin_loss``. It equals ``binary_cross_entropy_with_logits`` with the same
reduction over samples and a mean over classes, chance level and floor included.
"""

import math
from dataclasses import replace

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
    range=(0.0, math.inf),
    chance=bernoulli_chance,
    floor=bernoulli_floor,
    normaliser=lambda _: math.log(2),
    combinations=(Combination(("LogSigmoid",), _match),),
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
