"""Cross-entropy of softmax probabilities with a class index or a distribution as target.

One sample with scores z and class y costs -ln softmax(z)_y = ln Σ_k exp z_k - z_y. It is convex in z,
strictly proper, and 0 only in the limit of an infinite margin. PyTorch: ``F.cross_entropy``; also
``nll_loss`` on ``log_softmax`` or on the logarithm of a softmax, ``-log_softmax(z).gather(...)``,
``logsumexp(z) - z[y]`` and ``-Σ t·log_softmax(z)`` are the same loss and are read as such.
"""

import math
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_forms import (
    NLL_OPS,
    class_options,
    feeding_notes,
    has_advantages,
    nll_options,
    picked_log_probabilities,
    picked_target,
)
from losscope.losses.classification.entropy import class_chance, class_floor, log_classes
from losscope.losses.graph.axes import axis_above, class_axis
from losscope.losses.graph.constants import sums_to_one
from losscope.losses.graph.forms import (
    TRANSPARENT,
    LogProbabilities,
    log_probabilities,
    looks_normalised,
    softmax_input,
    strip,
)
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.part import Part
from losscope.losses.graph.similarities import similarities
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Options, Reading, Signature, Twin


def _from_nll(part: Part) -> Reading | None:
    """``nll_loss`` whose input is normalised log-probabilities."""
    node = part.node
    scores = node.saved("self")
    shape = node.inputs[0].shape if node.inputs[0] is not None else ()
    if not shape:
        return None
    axis = class_axis(shape)
    found = log_probabilities(node.inputs[0])
    if found is None:
        if scores is None or not looks_normalised(scores, axis):
            return None
        found = LogProbabilities(node.inputs[0], None, None)  # type: ignore[arg-type]
    below = axis_above(node.inputs[0], axis, found.node)  # type: ignore[arg-type]
    notes = feeding_notes(found, shape[axis], below)
    options = nll_options(node, shape[axis])
    if "double-softmax" in notes:
        options["double_softmax"] = True
    return Reading(
        prediction=found.logits or node.inputs[0],
        tensor=scores,
        tensor_is="log-probabilities",
        target=node.saved("target"),
        options=options,
        reduction=own_reduction(node),
        notes=notes,
    )


def _of_classes(part: Part) -> Reading | None:
    """An ``nll_loss`` over classes; over the samples of the batch itself it is InfoNCE."""
    return None if similarities(part.node) is not None else _from_nll(part)


def _from_picked(part: Part) -> Reading | None:
    reading = picked_log_probabilities(part)
    return None if reading is None or has_advantages(part.weights, reading) else reading


def _from_logarithm_of_picked(part: Part) -> Reading | None:
    """``softmax(z)[arange, y].log()``, to be maximised."""
    node = part.node
    inner = node.inputs[0].skip(TRANSPARENT | {"Add"}) if node.inputs[0] is not None else None
    if inner is None or inner.op not in ("Gather", "Index") or inner.inputs[0] is None:
        return None
    logits = softmax_input(inner.inputs[0])
    if logits is None:
        return None
    target, axis = picked_target(inner)
    if target is None or axis is None:
        return None
    probabilities = inner.inputs[0].skip(TRANSPARENT)
    found = LogProbabilities(probabilities, logits, probabilities.option("dim"))
    shape = inner.inputs[0].shape
    notes = feeding_notes(found, shape[axis], axis_above(inner.inputs[0], axis, probabilities))
    return Reading(
        prediction=logits,
        tensor=output(inner.inputs[0]),
        tensor_is="probabilities",
        target=target,
        options=class_options(shape[axis], notes),
        sign=-1.0,
        notes=notes,
    )


def _from_soft_targets(part: Part) -> Reading | None:
    """Σ_k t_k · log_softmax(z)_k with a constant t that is a distribution over classes."""
    found = log_probabilities(part.node)
    if found is None or not part.weights:
        return None
    shape = part.node.shape
    axis = found.dim % len(shape) if found.dim is not None and shape else len(shape) - 1
    if not shape:
        return None
    target, others = _split_weights(part.weights, shape, axis)
    if target is None:
        return None
    if not bool(sums_to_one(target, axis).float().mean() > 0.5):
        return None
    notes = feeding_notes(found, shape[axis], axis)
    options = class_options(shape[axis], notes, "distribution")
    class_weights = [w for w in others if w.numel() == shape[axis] and shape[axis] > 1]
    if class_weights:
        options["weight"] = class_weights[0].reshape(-1).tolist()
    if axis not in (0, 1):
        target = target.movedim(axis, 1)
    elements = shape[:axis] + shape[axis + 1 :]
    return Reading(
        prediction=found.logits,
        tensor=output(part.node),
        tensor_is="log-probabilities",
        target=target,
        options=options,
        elements=elements,
        weights=tuple(
            w.select(axis, 0) for w in others if w.numel() != shape[axis] and w.dim() == len(shape)
        ),
        sign=-1.0,
        notes=notes,
    )


def _split_weights(
    weights: tuple[Tensor, ...], shape: tuple[int, ...], axis: int
) -> tuple[Tensor | None, list[Tensor]]:
    """The factor that varies over samples and classes is the target; the others are weights."""
    full = [w for w in weights if tuple(w.shape) == shape and w.shape[axis] > 1]
    if not full:
        return None, []
    others = [w for w in weights if w is not full[0]]
    return full[0], others


def _label_smoothing(first: Part, parts: list[Part]) -> Reading | None:
    """(1-ε)·nll(log p, y) - ε/K · Σ_k w_k log p_k, both over the same log-probabilities."""
    reading = _from_nll(first) if first.node.op in NLL_OPS else _from_picked(first)
    source = first.node.inputs[0]
    if reading is None or source is None:
        return None
    source, main = strip(source), first.scale * reading.sign
    spread = next(
        (p for p in parts if p is not first and strip(p.node) is source and p.scale * main < 0), None
    )
    if spread is None:
        return None
    classes = cast("int", reading.options["num_classes"])
    uniform = -_per_element(spread, first, reading) * classes
    total = main + uniform
    options = {**reading.options, "label_smoothing": round(uniform / total, 6)}
    return replace(reading, options=options, consumed=(first, spread), factor=total * reading.sign)


def _per_element(spread: Part, first: Part, reading: Reading) -> float:
    """The scale of the uniform part in the units of the nll part, whose mean is fused into its node."""
    if reading.reduction != "mean" or reading.target is None:
        return spread.scale
    kept = reading.target != reading.options["ignore_index"]
    weight = first.node.saved("weight")
    if weight is None:
        return spread.scale * float(kept.sum())
    return spread.scale * float(weight.double()[reading.target[kept]].sum())


def _logsumexp_form(first: Part, parts: list[Part]) -> Reading | None:
    """logsumexp(z) - z[y]."""
    scores = first.node.inputs[0]
    if scores is None:
        return None
    for part in parts:
        if part.node.op not in ("Gather", "Index"):
            continue
        child = part.node.inputs[0]
        opposite = abs(part.scale + first.scale) <= 1e-6 * abs(first.scale)
        if child is None or strip(child) is not strip(scores) or not opposite:
            continue
        target, axis = picked_target(part.node)
        if target is None or axis is None:
            continue
        options: dict[str, object] = {"num_classes": child.shape[axis], "target": "class"}
        found = LogProbabilities(child, scores, (first.node.option("dim") or (None,))[0])
        notes = feeding_notes(found, child.shape[axis], axis)
        return Reading(
            prediction=scores,
            tensor=first.node.saved("self"),
            target=target,
            options=options,
            consumed=(first, part),
            notes=notes,
        )
    return None


def _target(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """The smoothed distribution that the prediction is compared with, [N, C]."""
    if not target.is_floating_point():
        target = F.one_hot(target, logits.shape[1])
    smoothing = float(options.get("label_smoothing", 0.0))
    return (1 - smoothing) * target.to(logits.dtype) + smoothing / logits.shape[1]


def _gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """softmax(z) - t."""
    return logits.softmax(1) - _target(logits, target, options)


def _logit_hessian(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """diag(p) - ppᵀ for every sample, whatever the target; its largest eigenvalue is at most ½."""
    del target, options
    p = logits.softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


SPEC = LossSpec(
    name="cross_entropy",
    title="cross-entropy",
    also=("CE", "softmax loss", "log loss"),
    family="classification",
    task="multi-class",
    formula=r"-\ln\frac{e^{z_y}}{\sum_k e^{z_k}}",
    input_space="logits",
    function=F.cross_entropy,
    module=torch.nn.CrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"label_smoothing": 0.1}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", math.sqrt(2), why="‖p - e_y‖₂ per sample"),
        Claim("smooth", 0.5, why="λmax of diag(p) - ppᵀ"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of targets, or Σ w[y] with class weights",
    exceptions={
        "empty-batch": "as PyTorch does everywhere",
        "finite": "torch sums the smoothed part in float16 before it divides: it overflows at scores of 1e4",
    },
    chance=class_chance,
    floor=class_floor,
    normaliser=log_classes,
    signatures=(
        Signature(NLL_OPS, _of_classes),
        Signature(("Gather", "Index"), _from_picked),
        Signature(("LogSoftmax", "Log", "Sub"), _from_soft_targets),
        Signature(("Log",), _from_logarithm_of_picked),
    ),
    combinations=(
        Combination((*NLL_OPS, "Gather", "Index"), _label_smoothing),
        Combination(("Logsumexp",), _logsumexp_form),
    ),
    references=("https://doi.org/10.1198/016214506000001437", "https://arxiv.org/abs/1512.00567"),
    examples=(
        Example("F.cross_entropy(x, y)", "(x.logsumexp(1) - x.gather(1, y[:, None])[:, 0]).mean()"),
        Example("F.cross_entropy(x, y, reduction='sum')", "F.cross_entropy(x, y) * x.shape[0]", "sum"),
        Example("F.cross_entropy(x, y, reduction='none').mean()", "F.cross_entropy(x, y)"),
        Example("F.cross_entropy(x, y, weight=w)", "(ce * w[y]).sum() / w[y].sum()"),
        Example(
            "F.cross_entropy(x, y, ignore_index=0)",
            "(ce * (y != 0)).sum() / (y != 0).sum()",
            options={"ignore_index": 0},
        ),
        Example(
            "F.cross_entropy(x, y, label_smoothing=0.1)",
            "0.9 * ce.mean() - 0.1 * x.log_softmax(1).mean()",
            options={"label_smoothing": 0.1},
        ),
        Example(
            "F.cross_entropy(x, y, label_smoothing=0.2, weight=w, ignore_index=1)",
            "F.cross_entropy(x, y, label_smoothing=0.2, weight=w, ignore_index=1)",
            options={"label_smoothing": 0.2},
        ),
        Example(
            "3 * F.cross_entropy(x, y, label_smoothing=0.1, reduction='sum')",
            "F.cross_entropy(x, y, label_smoothing=0.1) * x.shape[0]",
            "sum",
            3.0,
            options={"label_smoothing": 0.1},
        ),
        Example(
            "F.cross_entropy(x, s)",
            "-(s * x.log_softmax(1)).sum(1).mean()",
            options={"target": "distribution"},
        ),
        Example(
            "-(F.one_hot(y, 5) * x.log_softmax(1)).sum(1).mean()",
            "F.cross_entropy(x, y)",
            options={"target": "distribution"},
        ),
        Example("F.nll_loss(x.log_softmax(1), y)", "F.cross_entropy(x, y)"),
        Example("F.nll_loss(x.softmax(1).log(), y)", "F.cross_entropy(x, y)"),
        Example("-x.log_softmax(1).gather(1, y[:, None]).mean()", "F.cross_entropy(x, y)"),
        Example("-x.log_softmax(1)[torch.arange(8), y].mean()", "F.cross_entropy(x, y)"),
        Example("(x.logsumexp(1) - x.gather(1, y[:, None])[:, 0]).mean()", "F.cross_entropy(x, y)"),
        Example("-torch.distributions.Categorical(logits=x).log_prob(y).mean()", "F.cross_entropy(x, y)"),
        Example("-x.softmax(1)[torch.arange(8), y].log().mean()", "F.cross_entropy(x, y)"),
        Example(
            "-(x - x.exp().sum(1, keepdim=True).log())[torch.arange(8), y].mean()", "F.cross_entropy(x, y)"
        ),
        Example("torch.sum(-s * x.log_softmax(-1), dim=-1).mean()", "F.cross_entropy(x, s)"),
        Example(
            "0.9 * -lp.gather(1, y[:, None]).mean() + 0.1 * -lp.mean(1).mean()",
            "F.cross_entropy(x, y, label_smoothing=0.1)",
            options={"label_smoothing": 0.1},
        ),
        Example(
            "F.cross_entropy(x.softmax(1), y)",
            "F.nll_loss(x.softmax(1).log_softmax(1), y)",
            activation="softmax",
            notes=("double-softmax",),
        ),
        Example(
            "F.nll_loss(x.log_softmax(0), y)",
            "-x.log_softmax(0).gather(1, y[:, None]).mean()",
            notes=("wrong-softmax-dimension",),
        ),
        Example("(ce * m[:, 0]).sum() / m[:, 0].sum()", "ce[m[:, 0].bool()].mean()", "masked-mean"),
        Example("ce[m[:, 0].bool()].mean()", "(ce * m[:, 0]).sum() / m[:, 0].sum()"),
        Example(
            "F.cross_entropy(x.reshape(2, 5, 4), y.reshape(2, 4))",
            "F.cross_entropy(x.reshape(2, 5, 4).transpose(1, 2).reshape(8, 5), y)",
        ),
    ),
    twins=(
        Twin("F.nll_loss(x, y)", "nll"),
        Twin("F.cross_entropy(F.normalize(x) @ F.normalize(u).t() / 0.1, torch.arange(8))", "info_nce"),
        Twin("(x.logsumexp(1) - u.gather(1, y[:, None])[:, 0]).mean()", "unknown"),
        Twin("(2 * x.logsumexp(1) - x.gather(1, y[:, None])[:, 0]).mean()", "unknown"),
        Twin("-x.log_softmax(1).mean()", "unknown"),
        Twin("-x.sigmoid().log().gather(1, y[:, None]).mean()", "unknown"),
    ),
)
