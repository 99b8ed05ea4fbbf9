"""Weibull accelerated-failure-time likelihood with right censoring; the network gives ln λ and ln k.

The survival curve is S(t) = exp(-(t/λ)^k). With u = k (ln t - ln λ) an event costs e^u - u - ln k + ln t, a censored
subject e^u. k = 1 is a constant hazard, k > 1 one that rises with time. ln λ is the location of ln t: everything that
changes it by c stretches all times by e^c. Events at time 0 have no density and give ∞ or NaN: give times > 0. ln λ and
ln k are held within ±30.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import bounded
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "WeibullLoss", "weibull_loss"]


def weibull_loss(
    log_scale: Tensor, log_shape: Tensor, times: Tensor, events: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of ``times`` > 0 with ``events`` (1 or 0) for λ = exp(log_scale), k = exp(log_shape).

    All four have one shape. Kalbfleisch and Prentice 2002, section 2.2.

    >>> zero, two = torch.zeros(1), torch.full((1,), 2.0)
    >>> [float(weibull_loss(zero, zero, two, e)) for e in (torch.zeros(1), torch.ones(1))]  # the exponential: t, t
    [2.0, 2.0]
    """
    for name, tensor in (("log_shape", log_shape), ("times", times), ("events", events)):
        same_shape(log_scale, tensor, ("log_scale", name))
    a, log_k, t = full_precision(log_scale, log_shape, times)
    log_t, log_k = t.to(a.dtype).log(), bounded(log_k)
    u = log_k.exp() * (log_t - bounded(a))
    return reduce(u.exp() - torch.where(events > 0, u + log_k - log_t, 0.0), reduction)


WeibullLoss = as_module(weibull_loss, "WeibullLoss")

SPEC = LossSpec(
    name="weibull",
    title="Weibull likelihood with censoring",
    family="survival",
    task="survival",
    formula=r"e^{u}-\delta\left(u+\ln k-\ln t\right),\quad u=k(\ln t-\ln\lambda)",
    input_space="values",
    function=weibull_loss,
    module=WeibullLoss,
    arguments=(
        Argument("log_scale", "log-scale", "N"),
        Argument("log_shape", "log-scale", "N"),
        Argument("times", "times"),
        Argument("events", "events"),
    ),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="nowhere: a scale that hits an event exactly may be as sharp as it likes",
    unit="nats",
    elicits="Weibull distribution",
    claims=(
        Claim("convex", holds=False, why="not jointly in scale and shape"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of subjects, censored ones included",
    exceptions={"range": "it falls without limit only along ever sharper shapes that hit an event, as ln k"},
    references=("https://doi.org/10.1002/9781118032985",),
)
