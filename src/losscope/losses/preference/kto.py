"""KTO: single answers that are called good or bad, judged against how far the policy has moved on average.

``w(1 - σ(±β(r - z₀)))`` with the log-ratio r = ln π(y) - ln π_ref(y), + for desirable and - for undesirable answers,
and the reference point z₀ = max(0, mean of the log-ratios of mismatched answers), an estimate of KL(π ‖ π_ref) that
is **held constant** (detached): its gradient is not part of the method. At the start (policy = reference) every
value is **w/2**. The value lies between 0 and w and saturates: wrong answers far off have no gradient either. z₀ is
shared by the batch, so batches of one have none.
"""

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.preference.log_ratios import agreeing
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "KTOLoss", "kto_loss"]


def kto_loss(
    input: Tensor,
    reference: Tensor,
    target: Tensor,
    mismatched: Tensor,
    mismatched_reference: Tensor,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """w(1 - σ(±β(r - z₀))) for log-likelihoods ``input`` and ``reference`` [N].

    ``target`` [N] is 1 for desirable answers, else 0; ``mismatched`` and ``mismatched_reference`` [M] are
    log-likelihoods of answers to other prompts under policy and reference, for z₀. Ethayarajh et al.,
    arXiv:2402.01306, eq. 8.

    >>> import torch
    >>> same, kl = torch.tensor([-42.0, -17.0]), torch.tensor([-9.0])
    >>> float(kto_loss(same, same, torch.tensor([1.0, 0.0]), kl, kl))
    0.5
    """
    require_positive(beta=beta)
    input, reference = agreeing(input, reference)
    mismatched, mismatched_reference = agreeing(mismatched, mismatched_reference)
    same_shape(input, target)
    point = reduce((mismatched - mismatched_reference).detach()).clamp(min=0)
    good = target == 1
    lead = beta * (input - reference - point)
    losses = torch.where(good, desirable_weight * (-lead).sigmoid(), undesirable_weight * lead.sigmoid())
    return reduce(losses, reduction)


KTOLoss = as_module(kto_loss, "KTOLoss")

SPEC = LossSpec(
    name="kto",
    title="Kahneman-Tversky optimisation",
    family="preference",
    task="preference",
    formula=r"1-\sigma\bigl(\pm\beta(\ln\tfrac{\pi(y)}{\pi_\text{ref}(y)}-z_0)\bigr)",
    input_space="log-likelihoods",
    function=kto_loss,
    module=KTOLoss,
    arguments=(
        Argument("input", "log-likelihoods"),
        Argument("reference", "reference-log-likelihoods"),
        Argument("target", "binary-label"),
        Argument("mismatched", "log-likelihoods", as_role="fixed"),
        Argument("mismatched_reference", "reference-log-likelihoods"),
    ),
    variants=({"beta": 0.05}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="in the limit of log-ratios far above z₀ for desirable answers and far below for others",
    chance=lambda stats, options: Estimate(0.5),
    floor=zero_floor,
    claims=(
        Claim("lipschitz", 0.025, why="β/4"),
        Claim("convex", holds=False),
        Claim("permutation-equivariant"),
    ),
    gradient_kind="detached",
    batch_coupled=True,
    denominator="number of answers",
    references=("https://arxiv.org/abs/2402.01306",),
)
