"""Negative log-likelihood of scores that nothing shows to be log-probabilities: -s_y.

PyTorch: ``F.nll_loss`` without a log-softmax in front. On raw scores it is linear and unbounded below: the optimiser
gains by raising scores without limit, and a negative value is the sign of it. There is no chance level and no floor. On
log-probabilities it is the cross-entropy (0 or more, strictly proper), and is read as such.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_forms import NLL_OPS, nll_options
from losscope.losses.graph.axes import class_axis
from losscope.losses.graph.forms import activation, log_probabilities, looks_normalised
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.part import Part
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    node = part.node
    source = node.inputs[0]
    if source is None or not source.shape or log_probabilities(source) is not None:
        return None
    axis = class_axis(source.shape)
    scores = node.saved("self")
    if scores is not None and looks_normalised(scores, axis):
        return None
    unnormalised = scores is not None and activation(source) != "log"
    return Reading(
        prediction=source,
        tensor=scores,
        target=node.saved("target"),
        options=nll_options(node, source.shape[axis]),
        reduction=own_reduction(node),
        notes=("missing-activation",) if unnormalised else (),
    )


SPEC = LossSpec(
    name="nll",
    title="negative log-likelihood of raw scores",
    family="classification",
    task="multi-class",
    formula=r"-s_y",
    input_space="log-probabilities",
    function=F.nll_loss,
    module=torch.nn.NLLLoss,
    arguments=(Argument("input", "log-probabilities"), Argument("target", "class-index")),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="nowhere: raw scores grow without limit; on log-probabilities 0, at certainty",
    claims=(
        Claim("convex", why="linear"),
        Claim("lipschitz", 1.0),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: -F.one_hot(target, input.shape[1]).to(input.dtype),
    exceptions={"empty-batch": "as PyTorch does everywhere"},
    denominator="number of targets that are not ignored, or Σ w[y] with class weights",
    signatures=(Signature(NLL_OPS, _match),),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",),
    examples=(
        Example("F.nll_loss(x, y)", "-x.gather(1, y[:, None]).mean()", notes=("missing-activation",)),
        Example(
            "F.nll_loss(x.softmax(1), y)",
            "-x.softmax(1).gather(1, y[:, None]).mean()",
            notes=("missing-activation",),
            activation="softmax",
        ),
    ),
    twins=(
        Twin("F.nll_loss(x.log_softmax(1), y)", "cross_entropy"),
        Twin("F.nll_loss(x - x.logsumexp(1, keepdim=True), y)", "cross_entropy"),
    ),
)
