"""Maximum mean discrepancy of two samples with a Gaussian kernel: mean k(x, x') + mean k(y, y') - 2 mean k(x, y).

The squared distance of the two kernel means; for the Gaussian kernel it is 0 only for equal distributions. The biased
(V-)estimate counts a point with itself: it is ≥ 0 and, for equal distributions, about (1 - mean k)(1/N + 1/M) instead
of 0. The unbiased (U-)estimate leaves i = j out and may be negative. Everything hangs on the bandwidth h: far larger
than the distances only means are compared, far smaller nothing is, and gradients vanish both ways. The median
distance of the pooled sample is a usual choice, or several bandwidths, whose kernels are averaged.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.distribution.distances import pair_of_samples, squared_distances
from losscope.losses.module import as_module
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "MMDLoss", "mmd_loss"]


def mmd_loss(
    input: Tensor,
    target: Tensor,
    *,
    bandwidth: float | tuple[float, ...] = 1.0,
    unbiased: bool = False,
) -> Tensor:
    """Squared MMD of ``input`` [N, D] and ``target`` [M, D] with the kernel exp(-‖x - y‖²/(2h²)); one number.

    Several bandwidths: the mean over their kernels. ``unbiased`` needs two points on each side. Memory N·M·D.
    Gretton et al. 2012, eq. 3 and 5.

    >>> import torch
    >>> x, y = torch.zeros(2, 1), torch.full((3, 1), 1e4)
    >>> mmd_loss(x, y).item(), mmd_loss(x, x).item()
    (2.0, 0.0)
    """
    x, y = pair_of_samples(input, target, 2 if unbiased else 1)
    widths = x.new_tensor(bandwidth).reshape(-1, 1, 1)

    def mean(a: Tensor, b: Tensor, same: bool) -> Tensor:
        kernel = (-squared_distances(a, b) / (2 * widths.square())).exp().mean(0)
        if not (same and unbiased):
            return kernel.mean()
        return (kernel.sum() - kernel.diagonal().sum()) / (len(a) * (len(a) - 1))

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


MMDLoss = as_module(mmd_loss, "MMDLoss")

SPEC = LossSpec(
    name="mmd",
    title="maximum mean discrepancy",
    family="distribution",
    task="distribution",
    formula=r"\tfrac1{N^2}\sum k(x_i,x_j)+\tfrac1{M^2}\sum k(y_i,y_j)-\tfrac2{NM}\sum k(x_i,y_j)",
    input_space="samples",
    function=mmd_loss,
    module=MMDLoss,
    arguments=(Argument("input", "samples"), Argument("target", "reference-samples")),
    variants=({"bandwidth": (0.5, 2.0)},),
    range=(0.0, 2.0),
    attained="where both samples have the same points in the same proportions (biased estimate)",
    elicits="distribution",
    claims=(Claim("convex", holds=False), Claim("symmetric"), Claim("permutation-equivariant")),
    batch_coupled=True,
    exceptions={"empty-batch": "a sample without points has no distribution: it is refused"},
    denominator="numbers of pairs",
    references=("https://jmlr.org/papers/v13/gretton12a.html",),
)
