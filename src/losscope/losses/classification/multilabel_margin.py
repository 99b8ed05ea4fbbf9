"""Multi-label margin: Σ over label i and non-label k of max(0, 1 - (s_i - s_k)) / C.

PyTorch: ``F.multilabel_margin_loss``, whose targets are class indices ended by -1, [N, C]. A trap: a 0/1 mask of the
same shape is accepted and read as the indices 0 and 1. Only differences count, so the scores have no threshold: which
labels apply is not learnt, only their order. Samples with no label or with all of them cost 0; equal scores cost
|Y|(C - |Y|)/C. Compiled with torch 2.13 it is wrong: the padding -1 counts as class 0 (pytorch issue 141017).
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.fused import fused
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Twin

SPEC = LossSpec(
    name="multilabel_margin",
    title="multi-label margin loss",
    family="classification",
    task="multi-label",
    formula=r"\frac1C\sum_{i\in Y}\sum_{k\notin Y}\max(0,1-s_i+s_k)",
    input_space="scores",
    function=F.multilabel_margin_loss,
    module=torch.nn.MultiLabelMarginLoss,
    arguments=(Argument("input", "logits"), Argument("target", "label-set")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where every label's score exceeds every other class's by 1",
    elicits="order of the classes",
    claims=(Claim("convex"), Claim("shift-invariant"), Claim("permutation-equivariant")),
    denominator="number of samples",
    floor=zero_floor,
    signatures=(fused("MultilabelMarginLoss", lambda _: {"target": "class"}),),
    exceptions={"compile": "torch 2.13 compiled takes the padding -1 for class 0 (pytorch issue 141017)"},
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html",),
    examples=(
        Example(
            "F.multilabel_margin_loss(x, labels)",
            "sum((1 - row[y0] + row[other]).relu() for row, y0 in zip(x, labels[:, 0]) "
            "for other in range(x.shape[1]) if other != y0) / x.numel()",
        ),
    ),
    twins=(Twin("F.multi_margin_loss(x, y)", "multi_margin"),),
)
