"""Entropy of predicted class probabilities, -Σ p ln p; as a bonus it has a negative coefficient.

It is largest, ln K, for the uniform prediction. Its value says how sure the model is, not how right. Minimised (as in
self-training, or adaptation at test time) it makes any prediction certain, so it needs a counterweight.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import log_classes
from losscope.losses.graph.forms import TRANSPARENT, log_probabilities, softmax_input, strip
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "EntropyLoss", "entropy_loss"]


def entropy_loss(input: Tensor, *, dim: int = 1, reduction: str = "mean") -> Tensor:
    """Entropy of softmax(``input``) along ``dim``, in nats, one value per sample. Logits of -∞ are probabilities 0.

    Grandvalet and Bengio 2004, eq. 3.

    >>> entropy_loss(torch.tensor([[0.0, 0.0, -math.inf]])).exp().round().item()  # ln 2
    2.0
    """
    log_p = full_precision(input)[0].log_softmax(dim)
    # A finite stand-in where p = 0: 0 · -∞ would be NaN.
    finite = torch.where(log_p == -math.inf, 0.0, log_p)
    return reduce(-(log_p.exp() * finite).sum(dim), reduction)


EntropyLoss = as_module(entropy_loss, "EntropyLoss")


def _match(part: Part) -> Reading | None:
    """p·ln p with both made of the same scores."""
    node = part.node
    if len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if left is None or right is None:
        return None
    for p, log_p in ((left, right), (right, left)):
        found = log_probabilities(log_p.skip(TRANSPARENT))
        scores = softmax_input(p)
        if found is None or scores is None or found.logits is None:
            continue
        same = {strip(scores), strip(found.logits)}
        if len(same) > 1 and strip(scores) is not strip(found.node):
            continue
        axis = (found.dim if found.dim is not None else -1) % len(node.shape)
        return Reading(
            prediction=found.logits,
            tensor=output(found.node),
            options={"num_classes": node.shape[axis]},
            elements=node.shape[:axis] + node.shape[axis + 1 :],
            sign=-1.0,
            tensor_is="log-probabilities",
        )
    return None


SPEC = LossSpec(
    name="entropy",
    title="entropy of the prediction",
    family="distribution",
    task="distribution",
    formula=r"-\sum_k p_k\ln p_k",
    input_space="logits",
    function=entropy_loss,
    module=EntropyLoss,
    arguments=(Argument("input", "logits"),),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of a certain prediction",
    unit="nats",
    claims=(Claim("convex", holds=False), Claim("shift-invariant"), Claim("permutation-equivariant")),
    exceptions={"range": "its supremum is ln K, which depends on the number of classes K"},
    denominator="number of samples",
    value_is_progress=False,
    normaliser=log_classes,
    signatures=(Signature(("Mul",), _match),),
    references=(
        "https://proceedings.neurips.cc/paper/2004/hash/96f2b50b5d3613adf9c27049b2a888c7-Abstract.html",
    ),
    examples=(
        Example(
            "-(x.softmax(1) * x.log_softmax(1)).sum(1).mean()",
            "torch.distributions.Categorical(logits=x).entropy().mean()",
        ),
        Example(
            "-0.01 * torch.distributions.Categorical(logits=x).entropy().mean()",
            "-(x.softmax(1) * x.log_softmax(1)).sum(1).mean()",
            coefficient=-0.01,
        ),
    ),
    twins=(Twin("-(u.softmax(1) * x.log_softmax(1)).sum(1).mean()", "unknown"),),
)
