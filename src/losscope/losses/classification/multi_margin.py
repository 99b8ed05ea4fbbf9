"""Multi-class margin (1/C) Σ_{k≠y} max(0, m - s_y + s_k)^p: the Weston-Watkins hinge. PyTorch: ``F.multi_margin_loss``.

Equal scores cost m^p (C-1)/C. Note the 1/C: doubling the classes halves the pull of each. Exactly 0 once every margin
is met, so a training loss of 0 says nothing about confidence, and gradients stop there. The minimiser of the expected
loss (p = 1) has scores that are whole multiples of m in the order of the class probabilities; it may leave ties, so the
likeliest class need not be told apart (with three or more classes and none above ½).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import class_rates, fitted_class_chance, over_classes
from losscope.losses.graph.fused import fused
from losscope.losses.graph.node import Node
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Twin
from losscope.losses.target_stats import TargetStats

_MAX_CLASSES = 64


def _options(node: Node) -> dict[str, object]:
    shape = node.inputs[0].shape if node.inputs[0] is not None else ()
    options: dict[str, object] = {"p": node.option("p", 1), "margin": float(node.option("margin", 1.0))}
    options.update(num_classes=shape[-1] if shape else 0, target="class")
    weight = node.saved("weight")
    if weight is not None:
        options["weight"] = weight.tolist()
    return options


def _fitted_scores(rates: np.ndarray, margin: float) -> np.ndarray:
    """Scores of the best constant prediction for p = 1: a linear programme over scores and hinges."""
    from scipy.optimize import linprog  # lazy: slow to import, and few need it
    from scipy.sparse import coo_array  # lazy: 0.2 s to import, and few losses need it

    n = len(rates)
    right, other = np.nonzero(~np.eye(n, dtype=bool))
    pairs = np.arange(len(right))
    # h ≥ m - s_y + s_k as s_k - s_y - h ≤ -m
    rows = np.concatenate([pairs] * 3)
    columns = np.concatenate([other, right, n + pairs])
    signs = np.repeat([1.0, -1.0, -1.0], len(pairs))
    found = linprog(
        np.concatenate([np.zeros(n), rates[right]]),
        A_ub=coo_array((signs, (rows, columns)), shape=(len(pairs), n + len(pairs))).tocsr(),
        b_ub=np.full(len(pairs), -margin),
        bounds=[(None, None)] * n + [(0, None)] * len(pairs),
    )
    return found.x[:n] - found.x[:n].max()


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Numeric; classes that do not occur cost nothing, as their scores may be as low as one likes."""
    every = class_rates(stats, options)
    if every is None or np.count_nonzero(every) > _MAX_CLASSES or options.get("weight") is not None:
        return None
    margin, p = float(options.get("margin", 1.0)), int(options.get("p", 1))
    classes, rates = len(every), every[every > 0]
    if p == 1:
        scores = _fitted_scores(rates, margin) if len(rates) > 1 else np.zeros(1)
        hinges = np.maximum(0, margin - scores[:, None] + scores[None, :])
        losses = (hinges.sum(1) - margin) / classes
        return over_classes(rates, losses, stats)

    def per_class(z: Tensor) -> Tensor:
        hinges = (margin - z[:, None] + z[None, :]).relu() ** p
        return (hinges.sum(1) - margin**p) / classes

    return fitted_class_chance(per_class, stats, {}, to_log=False)


SPEC = LossSpec(
    name="multi_margin",
    title="multi-class margin loss",
    family="classification",
    task="multi-class",
    formula=r"\frac1C\sum_{k\ne y}\max(0,m-s_y+s_k)^p",
    input_space="scores",
    function=F.multi_margin_loss,
    module=torch.nn.MultiMarginLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"p": 2}, {"margin": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where s_y exceeds every other score by the margin m",
    elicits="order of the classes by probability, in steps of the margin (p = 1)",
    claims=(
        Claim("convex"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples, class weights included",
    normaliser=lambda options: (
        float(options.get("margin", 1.0)) ** options.get("p", 1) * (1 - 1 / options["num_classes"])
        if options.get("num_classes", 0) > 1
        else None
    ),
    chance=_chance,
    floor=zero_floor,
    signatures=(fused("MultiMarginLoss", _options),),
    references=("https://www.jmlr.org/papers/v2/crammer01a.html",),
    examples=(
        Example(
            "F.multi_margin_loss(x, y)",
            "((1 - x.gather(1, y[:, None]) + x).relu().sum(1) - 1).mean() / x.shape[1]",
            options={"margin": 1.0, "p": 1},
        ),
    ),
    twins=(Twin("F.cross_entropy(x, y)", "cross_entropy"),),
)
