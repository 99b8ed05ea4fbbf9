"""Connectionist temporal classification: -ln of the total probability of all alignments of a label sequence.

PyTorch: ``F.ctc_loss``; ``reduction="mean"`` divides each sequence's loss by its target length.
"""

import math
from dataclasses import replace

from losscope.losses.graph.forms import log_probabilities
from losscope.losses.graph.part import Part
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    node = part.node
    source = node.inputs[0]
    found = log_probabilities(source)
    reading = Reading(
        prediction=found.logits if found is not None else source,
        tensor=node.saved("log_probs"),
        target=node.saved("targets"),
        options={"blank": node.option("blank", 0), "target": "sequence"},
        tensor_is="log-probabilities",
        notes=() if found is not None else ("missing-activation",),
    )
    if part.means and len(part.weights) == 1 and part.weights[0].numel() == node.numel:
        return replace(reading, weights=(), options={**reading.options, "per_label": True})
    return reading


SPEC = LossSpec(
    name="ctc",
    title="connectionist temporal classification",
    family="sequence",
    task="sequence",
    formula=r"-\ln\sum_{\pi\in\mathcal B^{-1}(y)}\prod_t p_t(\pi_t)",
    input_space="logits",
    range=(0.0, math.inf),
    signatures=(Signature(("CtcLoss", "CudnnCtcLoss"), _match),),
    references=("https://doi.org/10.1145/1143844.1143891",),
    examples=(
        Example(
            "F.ctc_loss(frames.log_softmax(2), letters, frame_lengths, letter_lengths)",
            "(F.ctc_loss(frames.log_softmax(2), letters, frame_lengths, letter_lengths, reduction='none') "
            "/ letter_lengths).mean()",
            options={"blank": 0},
        ),
        Example(
            "F.ctc_loss(frames.log_softmax(2), letters, frame_lengths, letter_lengths, reduction='sum')",
            "F.ctc_loss(frames.log_softmax(2), letters, frame_lengths, letter_lengths, reduction='none').sum()",
            "sum",
        ),
    ),
    twins=(Twin("F.cross_entropy(x, y)", "cross_entropy"),),
)
