"""Cross-entropy of a linear output layer, without ever holding the scores of a whole batch.

``linear_cross_entropy(x, W, y)`` is ``F.cross_entropy(F.linear(x, W), y)``: the scores z = Wx + b of a sample with
class y cost ln Σ_k exp z_k - z_y. With a vocabulary of V classes the scores [N, V], their softmax and its gradient
are the largest tensors of a language model; here a chunk of samples passes by a block of classes at a time, and loss
and gradients come out of one pass (see ``streaming``), so that ``backward`` only multiplies. The arithmetic of the loss
is float32 for float16 and bfloat16.

With t = (1-ε) w_y e_y + (ε/V) w the smoothed target under class weights w, and an optional soft cap of the scores,
z ← c·tanh(z/c), a sample costs Σ_k t_k (lse(z) - z_k) + ζ w_y lse(z)². ``mean`` divides by Σ w_y, as torch does. The
z-loss keeps the normaliser near 1; it is weighted like the sample (some kernels divide it by the number of samples).

Traps: the loss is convex in the scores and not in (x, W). Samples of ``ignore_index`` are left out before anything is
computed, whatever they hold; a batch of nothing else costs 0 with gradient 0, where torch gives NaN under ``mean``.
A target that is no class raises (on a GPU: an assertion of the device). Second derivatives (``create_graph=True``,
``torch.func.hessian``, ``jvp``) work and stream as well; third ones raise. ``torch.compile`` runs it as it is, between
two graphs.
"""

import math
from typing import Any

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import class_chance, class_floor, log_classes
from losscope.losses.large_output.autograd import LinearCrossEntropy as _Function
from losscope.losses.large_output.backends import run_elsewhere
from losscope.losses.large_output.head import Batch, Settings, check
from losscope.losses.large_output.statistics import HeadStatistics, linear_cross_entropy_statistics
from losscope.losses.large_output.streaming import Needs
from losscope.losses.module import as_module
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = [
    "SPEC",
    "HeadStatistics",
    "LinearCrossEntropy",
    "linear_cross_entropy",
    "linear_cross_entropy_statistics",
]


def linear_cross_entropy(
    input: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    *,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
    chunk_rows: int | None = None,
    backend: str = "losscope",
) -> Tensor:
    """Cross-entropy of the scores ``input @ weight.T + bias`` for class indices, streamed over the classes.

    ``input`` [*, D], ``weight`` [V, D], ``target`` [*] integers in [0, V) or ``ignore_index``, ``bias`` [V],
    ``class_weight`` [V] (not differentiated). ``z_loss`` ζ ≥ 0 adds ζ·lse², ``softcap`` c > 0 replaces the scores by
    c·tanh(z/c). ``reduction`` "none" gives [*] and computes the gradients in ``backward``, the others in ``forward``.
    Result in float32 (float64 for float64). ``chunk_rows`` samples are worked on at once (default: by the sizes).
    ``backend`` hands the work to another implementation, see :mod:`losscope.losses.large_output.backends`.

    Memory beyond the gradients: ``chunk_rows``·V numbers. Raises ``BadUsage`` for shapes that do not fit, for a target
    that is no class, and for third derivatives.

    >>> x, w = torch.ones(2, 3), torch.zeros(4, 3)
    >>> round(float(linear_cross_entropy(x, w, torch.tensor([1, -100]))), 4)  # ln 4
    1.3863
    """
    settings = Settings(label_smoothing, ignore_index, z_loss, softcap, reduction, chunk_rows)
    check(Batch(input, weight, bias, class_weight, target), settings)
    rows, labels = input.reshape(-1, input.shape[-1]), target.reshape(-1).long()
    batch = Batch(rows, weight, bias, class_weight, labels)
    if backend != "losscope":
        value = run_elsewhere(backend, batch, settings)
    else:
        wanted = torch.is_grad_enabled() and reduction != "none"
        needs = Needs(*(wanted and t is not None and t.requires_grad for t in (input, weight, bias)))
        apply = _uncompiled if torch.compiler.is_compiling() else _Function.apply
        value = apply(*batch, settings, needs)[0]
    return value.reshape(target.shape) if reduction == "none" else value


LinearCrossEntropy = as_module(linear_cross_entropy, "LinearCrossEntropy")


def _uncompiled(*args: Any) -> Any:
    """Not looked into by ``torch.compile``. Decorated when needed, since the decorator imports the compiler."""
    return torch.compiler.disable(_Function.apply, reason="works on samples that only the data know")(*args)


def _as_cross_entropy(options: Options) -> dict[str, Any]:
    return {**options, "weight": options.get("class_weight")}


def _plain(options: Options) -> bool:
    return not options.get("z_loss") and not options.get("softcap")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """That of the cross-entropy: a bias alone is the constant predictor."""
    return class_chance(stats, _as_cross_entropy(options)) if _plain(options) else None


def _floor(options: Options, stats: TargetStats | None) -> float | None:
    return class_floor(_as_cross_entropy(options), stats) if _plain(options) else None


SPEC = LossSpec(
    name="linear_cross_entropy",
    title="linear cross-entropy",
    also=("fused linear cross-entropy",),
    family="large_output",
    task="multi-class",
    formula=r"\ln\sum_k e^{w_k^\top x+b_k}-w_y^\top x-b_y",
    input_space="embeddings",
    function=linear_cross_entropy,
    module=LinearCrossEntropy,
    arguments=(
        Argument("input", "features"),
        Argument("weight", "head-weight"),
        Argument("target", "class-index"),
        Argument("bias", "head-bias"),
    ),
    variants=(
        {"label_smoothing": 0.1},
        {"z_loss": 0.01},
        {"softcap": 2.0},
        {"softcap": 2.0, "label_smoothing": 0.1},
        {"reduction": "sum"},
    ),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", holds=False, why="convex in the scores, which are bilinear in features and weights"),
    ),
    denominator="number of targets, or Σ w[y] with class weights",
    chance=_chance,
    floor=_floor,
    normaliser=log_classes,
    exceptions={
        "floor": "at x = 0, W = 0 only the bias has a gradient: a saddle, at which a short search may stay",
        "compile": "samples that do not count are left out, whose number only the data know: a graph break",
    },
    references=(
        "https://arxiv.org/abs/2411.09009",
        "https://arxiv.org/abs/2410.10989",
        "https://arxiv.org/abs/1805.02867",
        "https://arxiv.org/abs/2204.02311",
    ),
)
