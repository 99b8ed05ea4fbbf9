"""Logit-adjusted cross-entropy CE(z + τ ln π, y), π the class frequencies; τ = 1 is the balanced softmax.

For long-tailed data that will be judged with balanced classes. Training adds τ ln π to the scores, so the raw scores
must do without the prior: at the optimum softmax(z + τ ln π) is the posterior and, for τ = 1, softmax(z) the posterior
under equal priors. At test time use the raw scores. Convex; strictly proper for the *adjusted* scores. A constant can
undo the adjustment, so the chance level is the label entropy whatever π. Trap: adding ln π again at test time, or
training with a class-balanced sampler as well, corrects twice.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_counts import Counts, along_classes, as_counts
from losscope.losses.classification.entropy import class_chance, log_classes
from losscope.losses.classification.true_class import class_log_probabilities, reduce_labelled
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LogitAdjustedCrossEntropyLoss", "logit_adjusted_cross_entropy_loss"]


def logit_adjusted_cross_entropy_loss(
    input: Tensor,
    target: Tensor,
    *,
    counts: Counts,
    tau: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of z + τ ln π for scores ``input`` [N, C, …] and classes ``target`` [N, …].

    ``counts`` [C] are class counts or frequencies of the training data (π up to a factor; a class without samples is
    taken to be rare, not impossible). Elements with target ``ignore_index`` do not count. float16 and bfloat16 are
    computed and returned in float32. Menon et al., ICLR 2021, arXiv:2007.07314; τ = 1: Ren et al., NeurIPS
    2020, arXiv:2007.10740.

    >>> import torch
    >>> z = torch.tensor([0.75, 0.25]).log()  # what the prior alone says
    >>> float(logit_adjusted_cross_entropy_loss(torch.zeros(1, 2), torch.tensor([1]), counts=[3, 1])) == -float(z[1])
    True
    """
    (input,) = full_precision(input)
    known = as_counts(counts, input, input.shape[min(1, input.dim() - 1)])
    log_prior = known.clamp(min=torch.finfo(input.dtype).tiny).log()
    adjusted = input + along_classes(tau * (log_prior - log_prior.logsumexp(0)), input)
    _, log_p_y = class_log_probabilities(adjusted, target, ignore_index)
    return reduce_labelled(-log_p_y, target, ignore_index, reduction)


LogitAdjustedCrossEntropyLoss = as_module(logit_adjusted_cross_entropy_loss, "LogitAdjustedCrossEntropyLoss")

_COUNTS = (50.0, 30.0, 15.0, 4.0, 1.0)

SPEC = LossSpec(
    name="logit_adjusted_cross_entropy",
    title="logit-adjusted cross-entropy",
    also=("balanced softmax",),
    family="classification",
    task="multi-class",
    formula=r"-\ln\frac{\pi_y^\tau e^{z_y}}{\sum_k\pi_k^\tau e^{z_k}}",
    input_space="logits",
    function=logit_adjusted_cross_entropy_loss,
    module=LogitAdjustedCrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    sizes={"C": 5},
    variants=({"counts": _COUNTS}, {"counts": _COUNTS, "reduction": "sum"}, {"counts": _COUNTS, "tau": 0.5}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    elicits="probability divided by π^τ, normalised",
    claims=(
        Claim("convex"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim(
            "strictly-proper",
            holds=False,
            why="strictly proper for the adjusted scores, not for the raw ones",
        ),
        Claim("calibrated", holds=False, why="raw scores rank classes as if all were equally frequent"),
        Claim("lipschitz", math.sqrt(2)),
        Claim("smooth", 0.5),
    ),
    denominator="number of targets that are not ignored",
    chance=class_chance,
    floor=zero_floor,
    normaliser=log_classes,
    references=("https://arxiv.org/abs/2007.07314", "https://arxiv.org/abs/2007.10740"),
)
