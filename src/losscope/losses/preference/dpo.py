"""DPO: logistic loss of how much more the policy prefers the chosen answer than the reference model does.

``-ln σ(h)``, h = β[(ln π(c) - ln π_ref(c)) - (ln π(r) - ln π_ref(r))], the margin of implicit rewards. Training starts
from the reference model, so that every value starts at exactly **ln 2 = 0.693**: a first value elsewhere means that
policy and reference differ (dropout, precision, another template). With label smoothing ε (conservative DPO: a share ε
of the labels is wrong) the floor is the **binary entropy of ε** and the best margin is finite, ln((1-ε)/ε).

Traps: the value falls also when *both* likelihoods fall, the rejected one faster, which it usually does: watch the
rewards themselves. Log-likelihoods are sums over the tokens of the answer, without the prompt and without padding.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.preference.log_ratios import agreeing
from losscope.losses.ranges import require_positive, require_share
from losscope.losses.reduction import reduce
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "DPOLoss", "dpo_loss"]


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """-(1-ε) ln σ(h) - ε ln σ(-h) for log-likelihoods of whole answers, all [N], under policy and reference.

    Rafailov et al., arXiv:2305.18290, eq. 7; ``label_smoothing`` as in Mitchell's conservative DPO.

    >>> import torch
    >>> same = torch.tensor([-42.0]), torch.tensor([-17.0])
    >>> round(float(dpo_loss(*same, *same).exp()), 5)  # ln 2 at the start
    2.0
    """
    require_positive(beta=beta)
    require_share(label_smoothing=label_smoothing)
    chosen, rejected, *reference = agreeing(chosen, rejected, reference_chosen, reference_rejected)
    h = beta * ((chosen - reference[0]) - (rejected - reference[1]))
    losses = F.softplus(-h)
    if label_smoothing:  # 0·h would be NaN at an infinite margin
        losses = losses + label_smoothing * h
    return reduce(losses, reduction)


DPOLoss = as_module(dpo_loss, "DPOLoss")


def _floor(options: Options, stats: TargetStats | None) -> float:
    del stats
    p = float(options.get("label_smoothing", 0.0))
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


SPEC = LossSpec(
    name="dpo",
    title="direct preference optimisation",
    family="preference",
    task="preference",
    formula=r"-\ln\sigma\Bigl(\beta\ln\frac{\pi(c)}{\pi_\text{ref}(c)}-\beta\ln\frac{\pi(r)}{\pi_\text{ref}(r)}\Bigr)",
    input_space="log-likelihoods",
    function=dpo_loss,
    module=DPOLoss,
    arguments=(
        Argument("chosen", "log-likelihoods"),
        Argument("rejected", "log-likelihoods"),
        Argument("reference_chosen", "reference-log-likelihoods"),
        Argument("reference_rejected", "reference-log-likelihoods"),
    ),
    variants=({"label_smoothing": 0.1}, {"beta": 0.05}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin; with label smoothing at the margin ln((1-ε)/ε)",
    chance=lambda stats, options: Estimate(math.log(2)),
    floor=_floor,
    unit="nats",
    elicits="log-ratio to the reference, up to a constant per prompt",
    claims=(
        Claim("convex", why="in the log-likelihoods, not in the parameters"),
        Claim("lipschitz", 0.1 * math.sqrt(2), why="β√2"),
        Claim("smooth", 0.005, why="β²/2"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2305.18290", "https://ericmitchell.ai/cdpo.pdf"),
)
