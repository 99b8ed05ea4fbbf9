"""Connectionist temporal classification: -ln of the total probability of all alignments of a label sequence.

An alignment gives every frame a label or the blank; repeated labels merge, blanks vanish. The value is -ln of the sum
of the products of frame probabilities over all alignments that spell the target. PyTorch: ``F.ctc_loss``, which takes
log-probabilities [T, N, C]. ``reduction="mean"`` divides each sequence's loss by its target length (at least 1), then
takes the mean over sequences; "sum" and "none" divide by nothing, so the two differ by more than a factor.

Traps. A target that needs more frames than there are (labels plus one blank between equal neighbours) has no
alignment: the loss is infinite and its gradient NaN, unless ``zero_infinity=True`` replaces both by 0. The gradient
that PyTorch gives is exp(log p) minus the posterior of the labels: the gradient with respect to the *scores* below a
log-softmax. It is not the slope along log-probabilities that no longer sum to 1, and there is no second derivative.
The blank is label 0 unless told otherwise; trained models emit few, sharp peaks between many blanks. Source: Graves
et al. 2006.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.forms import log_probabilities, looks_normalised
from losscope.losses.graph.part import Part
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    node = part.node
    source = node.inputs[0]
    found = log_probabilities(source)
    scores = node.saved("log_probs")
    unknown = found is None and scores is not None and not looks_normalised(scores, -1)
    reading = Reading(
        prediction=found.logits if found is not None else source,
        tensor=scores,
        target=node.saved("targets"),
        options={"blank": node.option("blank", 0), "target": "sequence"},
        tensor_is="log-probabilities",
        notes=("missing-activation",) if unknown else (),
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
    function=F.ctc_loss,
    module=torch.nn.CTCLoss,
    arguments=(
        Argument("log_probs", "frame-log-probabilities"),
        Argument("targets", "labels"),
        Argument("input_lengths", "frame-lengths"),
        Argument("target_lengths", "label-lengths"),
    ),
    variants=({"zero_infinity": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where one alignment, or several of the same labels, has all the probability",
    unit="nats",
    elicits="distribution",
    claims=(Claim("permutation-equivariant"),),
    gradient_kind="projected",
    denominator="each target's length (at least 1), then the number of sequences",
    floor=zero_floor,
    exceptions={
        "empty-batch": "torch refuses log-probabilities of no sequence",
        "gradient": "torch gives the gradient of the scores below a log-softmax, not the slope along log-probabilities",
        "second-gradient": "torch has no second derivative of it",
    },
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
