"""Multi-class margin (1/C) Σ_{k≠y} max(0, m - s_y + s_k)^p. PyTorch: ``F.multi_margin_loss``.

A constant prediction with equal scores costs m^p (C-1)/C.
"""

import math

from losscope.losses.graph.fused import fused
from losscope.losses.graph.node import Node
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Twin


def _options(node: Node) -> dict[str, object]:
    shape = node.inputs[0].shape if node.inputs[0] is not None else ()
    options: dict[str, object] = {"p": node.option("p", 1), "margin": float(node.option("margin", 1.0))}
    options.update(num_classes=shape[-1] if shape else 0, target="class")
    weight = node.saved("weight")
    if weight is not None:
        options["weight"] = weight.tolist()
    return options


SPEC = LossSpec(
    name="multi_margin",
    title="multi-class margin loss",
    family="classification",
    task="multi-class",
    formula=r"\frac1C\sum_{k\ne y}\max(0,m-s_y+s_k)^p",
    input_space="scores",
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(fused("MultiMarginLoss", _options),),
    references=("https://www.jmlr.org/papers/v2/crammer01a.html",),
    examples=(
        Example(
            "F.multi_margin_loss(x, y)",
            "((1 - x.gather(1, y[:, None]) + x).relu().sum(1) - 1).mean() / x.shape[1]",
            options={"margin": 1.0, "p": 1},
        ),
    ),
    twins=(Twin("F.cross_entropy(x, y)", "cross_entropy"),),
)
