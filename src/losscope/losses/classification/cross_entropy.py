"""Cross-entropy of softmax probabilities with a class index or a distribution as target.

One sample with scores z and class y costs -ln softmax(z)_y = ln Σ_k exp z_k - z_y. It is convex in z,
strictly proper, and 0 only in the limit of an infinite margin. PyTorch: ``F.cross_entropy``; also
``nll_loss`` on ``log_softmax`` or on the logarithm of a softmax, ``-log_softmax(z).gather(...)``,
``logsumexp(z) - z[y]`` and ``-Σ t·log_softmax(z)`` are the same loss and are read as such.
"""

import math
from dataclasses import replace

from torch import Tensor

from losscope.losses.classification.entropy import class_chance, class_floor
from losscope.losses.graph.constants import has_both_signs, is_binary, product, sums_to_one
from losscope.losses.graph.forms import (
    LogProbabilities,
    activation,
    is_softmax,
    log_probabilities,
    looks_normalised,
    strip,
)
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Signature, Twin

NLL_OPS = ("NllLoss", "NllLoss2D")


def class_axis(shape: tuple[int, ...]) -> int:
    """The axis of the classes in the scores of ``nll_loss``: 1, or 0 without a batch axis."""
    return 1 if len(shape) > 1 else 0


def feeding_notes(found: LogProbabilities, classes: int, axis: int | None) -> tuple[str, ...]:
    """What is structurally wrong with the scores that enter the log-softmax."""
    notes = []
    if found.logits is not None and is_softmax(found.logits):
        notes.append("double-softmax")
    elif found.logits is not None and activation(found.logits) == "sigmoid":
        notes.append("sigmoid-before-logits-loss")
    shape = found.node.shape
    if found.dim is not None and shape and axis is not None:
        dim = found.dim % len(shape)
        if shape[dim] != classes or (dim != axis % len(shape) and len(shape) > 1):
            notes.append("wrong-softmax-dimension")
    return tuple(notes)


def nll_options(node: Node, classes: int) -> dict[str, object]:
    """The options of ``nll_loss`` that differ from the defaults, and the number of classes."""
    options: dict[str, object] = {"num_classes": classes, "target": "class"}
    options["ignore_index"] = node.option("ignore_index", -100)
    weight = node.saved("weight")
    if weight is not None:
        options["weight"] = weight.tolist()
    return options


def axis_above(node: Node, axis: int, stop: Node) -> int | None:
    """Follow ``axis`` of ``node``'s output down through views to ``stop``; ``None`` where it is lost."""
    current: Node | None = node
    while current is not None and current is not stop:
        child = current.inputs[0] if current.inputs else None
        if child is None:
            return None
        axis_below = _axis_below(current, child, axis)
        if axis_below is None:
            return None
        current, axis = child, axis_below
    return axis


def _axis_below(node: Node, child: Node, axis: int) -> int | None:
    if node.op == "Permute":
        return node.option("dims")[axis] % len(child.shape)
    if node.op in ("Transpose", "T"):
        first, second = (0, 1) if node.op == "T" else (node.option("dim0"), node.option("dim1"))
        first, second = first % len(child.shape), second % len(child.shape)
        return {first: second, second: first}.get(axis, axis)
    if node.shape == child.shape:
        return axis
    after = math.prod(node.shape[axis + 1 :])
    places = [
        i
        for i, size in enumerate(child.shape)
        if size == node.shape[axis] and math.prod(child.shape[i + 1 :]) == after
    ]
    return places[0] if len(places) == 1 else None


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
        target=node.saved("target"),
        options=options,
        reduction=own_reduction(node),
        notes=notes,
    )


def picked_log_probabilities(part: Part) -> Reading | None:
    """``log_softmax(z).gather(dim, y)`` or ``log_softmax(z)[arange, y]``, to be maximised."""
    node = part.node
    if node.inputs[0] is None:
        return None
    found = log_probabilities(node.inputs[0])
    if found is None:
        return None
    target, axis = picked_target(node)
    if target is None or axis is None:
        return None
    shape = node.inputs[0].shape
    notes = feeding_notes(found, shape[axis], axis_above(node.inputs[0], axis, found.node))
    options: dict[str, object] = {"num_classes": shape[axis], "target": "class"}
    if "double-softmax" in notes:
        options["double_softmax"] = True
    if found.sampled:
        options["distribution_form"] = True
    return Reading(
        prediction=found.logits,
        tensor=output(node.inputs[0]),
        target=target,
        options=options,
        sign=-1.0,
        notes=notes,
    )


def _from_picked(part: Part) -> Reading | None:
    reading = picked_log_probabilities(part)
    return None if reading is None or has_advantages(part.weights, reading) else reading


def has_advantages(weights: tuple[Tensor, ...], reading: Reading) -> bool:
    """Whether constant weights on picked log-probabilities are advantages and not sample weights."""
    weight = product(weights)
    if weight is None or weight.numel() < 2:
        return False
    sampled = bool(reading.options.get("distribution_form"))
    return has_both_signs(weight) or (sampled and not is_binary(weight))


def picked_target(node: Node) -> tuple[Tensor | None, int | None]:
    """(class indices, class axis) of ``gather(dim, y)`` with one index per row, or ``x[arange(n), y]``."""
    child = node.inputs[0]
    assert child is not None
    if node.op == "Gather":
        axis = node.option("dim") % max(1, len(child.shape))
        index = node.saved("index")
        one_each = index is not None and index.dim() == len(child.shape) and index.shape[axis] == 1
        return (index.squeeze(axis), axis) if one_each and index is not None else (None, None)
    indices = node.saved_list("indices")
    if len(indices) != len(child.shape) or any(i is None or i.dtype.is_floating_point for i in indices):
        return None, None
    return indices[-1], len(indices) - 1


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
    options: dict[str, object] = {"num_classes": shape[axis], "target": "distribution"}
    class_weights = [w for w in others if w.numel() == shape[axis] and shape[axis] > 1]
    if class_weights:
        options["weight"] = class_weights[0].reshape(-1).tolist()
    if axis not in (0, 1):
        target = target.movedim(axis, 1)
    notes = feeding_notes(found, shape[axis], axis)
    if "double-softmax" in notes:
        options["double_softmax"] = True
    elements = shape[:axis] + shape[axis + 1 :]
    return Reading(
        prediction=found.logits,
        tensor=output(part.node),
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
    reading = _from_nll(first)
    source = first.node.inputs[0]
    if reading is None or source is None:
        return None
    source = strip(source)
    spread = next(
        (p for p in parts if p is not first and strip(p.node) is source and p.scale * first.scale < 0), None
    )
    if spread is None:
        return None
    classes = int(reading.options["num_classes"])
    uniform = -_per_element(spread, first, reading) * classes
    total = first.scale + uniform
    options = {**reading.options, "label_smoothing": round(uniform / total, 6)}
    return replace(reading, options=options, consumed=(first, spread), factor=total)


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


SPEC = LossSpec(
    name="cross_entropy",
    title="cross-entropy",
    family="classification",
    task="multi-class",
    formula=r"-\ln\frac{e^{z_y}}{\sum_k e^{z_k}}",
    input_space="logits",
    range=(0.0, math.inf),
    chance=class_chance,
    floor=class_floor,
    normaliser=lambda options: (
        math.log(options["num_classes"]) if options.get("num_classes", 0) > 1 else None
    ),
    signatures=(
        Signature(NLL_OPS, _from_nll),
        Signature(("Gather", "Index"), _from_picked),
        Signature(("LogSoftmax", "Log", "Sub"), _from_soft_targets),
    ),
    combinations=(Combination(NLL_OPS, _label_smoothing), Combination(("Logsumexp",), _logsumexp_form)),
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
        Twin("(x.logsumexp(1) - u.gather(1, y[:, None])[:, 0]).mean()", "unknown"),
        Twin("(2 * x.logsumexp(1) - x.gather(1, y[:, None])[:, 0]).mean()", "unknown"),
        Twin("-x.log_softmax(1).mean()", "unknown"),
        Twin("-x.sigmoid().log().gather(1, y[:, None]).mean()", "unknown"),
    ),
)
