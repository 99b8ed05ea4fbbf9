"""What the arguments of losses are, and how inputs of each kind are drawn.

A loss states its arguments in order, as ``Argument("input", "logits")``. A kind knows its axes, whether the
loss is differentiated with respect to it, where its values may lie and how ordinary values are drawn. All
values are drawn in float64 from an own generator, so that one seed gives the same case everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Generator, Tensor

Sizes = Mapping[str, int]
Role = Literal["prediction", "target", "fixed"]
INF = float("inf")

SIZES: Sizes = MappingProxyType(
    {"N": 6, "C": 5, "D": 3, "H": 4, "W": 4, "T": 12, "S": 3, "M": 4, "U": 4, "1": 1, "4": 4}
)
"""Default lengths of axes: N samples, C classes, D columns, H×W pixels, T frames, S and U labels, M others."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of input: ``draw(generator, shape, scale)`` gives ordinary values.

    ``low`` and ``high`` bound the domain (both included). ``integer`` kinds are indices or counts of things.
    ``about`` is one line for people.
    """

    axes: str
    role: Role
    draw: Callable[[Generator, tuple[int, ...], float], Tensor]
    about: str
    low: float = -INF
    high: float = INF
    integer: bool = False


def _normal(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Rounded to a thousandth, so that a counterexample can be read and pasted."""
    return (torch.randn(shape, generator=g, dtype=torch.float64) * scale).round(decimals=3)


def _uniform(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del scale
    return 0.02 + 0.96 * torch.rand(shape, generator=g, dtype=torch.float64)


def _positive(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return (0.5 * scale * torch.randn(shape, generator=g, dtype=torch.float64)).exp()


def _sigmoid(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return _normal(g, shape, scale).sigmoid()


def _softmax(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return _normal(g, shape, scale).softmax(1)


def _log_softmax(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return _normal(g, shape, scale).log_softmax(1)


def _frames(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return _normal(g, shape, scale).log_softmax(-1)


def _binary(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del scale
    values = (torch.rand(shape, generator=g, dtype=torch.float64) < 0.5).double()
    if values.numel() > 1:  # both kinds are present, or the case says little
        values.view(-1)[0], values.view(-1)[-1] = 1.0, 0.0
    return values


def _kept(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return _binary(g, shape, scale).bool()


def _sign(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return 2 * _binary(g, shape, scale) - 1


def _classes(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Drawn for ``SIZES["C"]`` classes; :func:`draw` gives the true number."""
    return torch.randint(max(1, round(scale)), shape, generator=g)


def _one_hot(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del scale
    index = torch.randint(shape[1], (shape[0], *shape[2:]), generator=g)
    return torch.nn.functional.one_hot(index, shape[1]).movedim(-1, 1).double().contiguous()


def _counts(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del scale
    return torch.poisson(3 * torch.ones(shape, dtype=torch.float64), generator=g)


def _groups(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Every label occurs at least twice where there are two samples."""
    del scale
    n = shape[0]
    return (torch.arange(n) // 2).clamp(max=max(0, n // 2 - 1))[torch.randperm(n, generator=g)]


def _boxes(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """x₁ y₁ x₂ y₂ in the unit square, large enough that two of them often overlap."""
    del scale
    corner = 0.5 * torch.rand((*shape[:-1], 2), generator=g, dtype=torch.float64)
    size = 0.2 + 0.3 * torch.rand((*shape[:-1], 2), generator=g, dtype=torch.float64)
    return torch.cat([corner, corner + size], -1)


def _log_likelihoods(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return -3 * _positive(g, shape, scale)


def _full_lengths(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del g
    return torch.full(shape, round(scale))


def _lengths(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return torch.randint(1, round(scale) + 1, shape, generator=g)


def _labels_from_one(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return torch.randint(1, round(scale), shape, generator=g)


def _class_numbers(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    return torch.randint(1, max(2, round(scale) + 1), shape, generator=g)


def _ratios(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Around 1, within and beyond what is usually clipped."""
    return (0.3 * scale * torch.randn(shape, generator=g, dtype=torch.float64)).exp()


def _ranks(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    del scale
    return torch.randint(4, shape, generator=g).double()


def _label_sets(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Distinct indices, from one to all but one of them, then -1."""
    del scale
    count = torch.randint(1, max(2, shape[1]), (shape[0], 1), generator=g)
    order = torch.rand(shape, generator=g).argsort(1)
    return torch.where(torch.arange(shape[1]) < count, order, -1)


def _thresholds(g: Generator, shape: tuple[int, ...], scale: float) -> Tensor:
    """Rising, around 0."""
    steps = 0.2 + torch.rand(shape, generator=g, dtype=torch.float64)
    return scale * (steps.cumsum(-1) - 0.5 * steps.sum(-1, keepdim=True))


KINDS: Mapping[str, Kind] = MappingProxyType({
    # predictions
    "logits": Kind("N C", "prediction", _normal, "one score per class; softmax makes them probabilities"),
    "binary-logits": Kind("N D", "prediction", _normal, "one score per element; its sigmoid is a probability"),
    "probabilities": Kind("N D", "prediction", _sigmoid, "one probability per element", 0.0, 1.0),
    "class-probabilities": Kind("N C", "prediction", _softmax, "one distribution over classes per sample", 0.0, 1.0),
    "log-probabilities": Kind("N C", "prediction", _log_softmax, "ln of a distribution over classes", -INF, 0.0),
    "values": Kind("N D", "prediction", _normal, "real numbers"),
    "positive-values": Kind("N D", "prediction", _positive, "real numbers above 0", 0.0),
    "scores": Kind("N", "prediction", _normal, "one real score per sample"),
    "embeddings": Kind("N D", "prediction", _normal, "one vector per sample"),
    "samples": Kind("N D", "prediction", _normal, "points of a sample, one per row"),
    "variance": Kind("N D", "prediction", _positive, "a predicted variance", 0.0),
    "log-scale": Kind("N D", "prediction", _normal, "ln of a predicted variance or scale"),
    "mask-logits": Kind("N 1 H W", "prediction", _normal, "one score per pixel"),
    "mask-probabilities": Kind("N 1 H W", "prediction", _sigmoid, "one probability per pixel", 0.0, 1.0),
    "class-mask-logits": Kind("N C H W", "prediction", _normal, "one score per class and pixel"),
    "boxes": Kind("N 4", "prediction", _boxes, "boxes x₁ y₁ x₂ y₂ with x₁ ≤ x₂, y₁ ≤ y₂"),
    "log-likelihoods": Kind("N", "prediction", _log_likelihoods, "ln of the probability of a sequence", -INF, 0.0),
    "ratios": Kind("N", "prediction", _ratios, "probability of an action now, divided by that before", 0.0),
    "frame-log-probabilities": Kind("T N C", "prediction", _frames, "ln of class probabilities per frame", -INF, 0.0),
    "lattice-logits": Kind("N T U C", "prediction", _normal, "transducer scores per frame and label position"),
    "risk": Kind("N", "prediction", _normal, "one log hazard ratio per subject"),
    "concentration": Kind("N C", "prediction", _positive, "parameters of a Dirichlet distribution", 0.0),
    "features": Kind("N D", "prediction", _normal, "what an output layer gets, one row per sample"),
    "head-weight": Kind("C D", "prediction", _normal, "weights of an output layer, one row per class"),
    "head-bias": Kind("C", "prediction", _normal, "biases of an output layer, one per class"),
    # targets
    "class-index": Kind("N", "target", _classes, "an index of a class", 0.0, integer=True),
    "class-number": Kind("N", "target", _class_numbers, "a number of a class, from 1", 1.0, integer=True),
    "class-index-map": Kind("N H W", "target", _classes, "an index of a class per pixel", 0.0, integer=True),
    "ordinal-index": Kind("N", "target", _classes, "an index of an ordered class", 0.0, integer=True),
    "one-hot": Kind("N C", "target", _one_hot, "1 at the class, else 0", 0.0, 1.0),
    "distribution": Kind("N C", "target", _softmax, "one distribution over classes per sample", 0.0, 1.0),
    "binary": Kind("N D", "target", _binary, "0 or 1", 0.0, 1.0),
    "binary-label": Kind("N", "target", _binary, "0 or 1 per sample", 0.0, 1.0),
    "label-set": Kind("N C", "target", _label_sets, "indices of labels, then -1", -1.0, integer=True),
    "unit": Kind("N D", "target", _uniform, "a number from 0 to 1", 0.0, 1.0),
    "sign": Kind("N D", "target", _sign, "-1 or 1", -1.0, 1.0),
    "sign-label": Kind("N", "target", _sign, "-1 or 1 per sample", -1.0, 1.0),
    "real": Kind("N D", "target", _normal, "real numbers"),
    "positive": Kind("N D", "target", _positive, "real numbers above 0", 0.0),
    "counts": Kind("N D", "target", _counts, "counts 0, 1, 2, …", 0.0),
    "relevance": Kind("N M", "target", _ranks, "graded relevance 0 … 3 of M documents", 0.0),
    "mask": Kind("N 1 H W", "target", _binary, "0 or 1 per pixel", 0.0, 1.0),
    "target-boxes": Kind("N 4", "target", _boxes, "boxes x₁ y₁ x₂ y₂"),
    "groups": Kind("N", "target", _groups, "a label per sample; equal labels belong together", 0.0, integer=True),
    "times": Kind("N", "target", _positive, "times to event or censoring", 0.0),
    "events": Kind("N", "target", _binary, "1 for an event, 0 for censored", 0.0, 1.0),
    "reference-samples": Kind("M D", "target", _normal, "points of the other sample, one per row"),
    "labels": Kind("N S", "target", _labels_from_one, "sequences of labels, 0 is the blank", 1.0, integer=True),
    "teacher-logits": Kind("N C", "target", _normal, "scores of a teacher"),
    # neither
    "advantages": Kind("N", "fixed", _normal, "advantages of actions"),
    "frame-lengths": Kind("N", "fixed", _full_lengths, "how many frames are real", 1.0, integer=True),
    "label-lengths": Kind("N", "fixed", _lengths, "how many labels are real", 1.0, integer=True),
    "weights": Kind("N", "fixed", _positive, "a weight per sample", 0.0),
    "reference-log-likelihoods": Kind("N", "fixed", _log_likelihoods, "the same under a frozen model", -INF, 0.0),
    "thresholds": Kind("4", "fixed", _thresholds, "rising cut points between ordered classes"),
    "kept": Kind("N D", "fixed", _kept, "True for what counts", 0.0, 1.0),
    "given-variance": Kind("N D", "fixed", _positive, "a known variance", 0.0),
})  # fmt: skip
"""Every kind of argument by name. "fixed" arguments are neither predicted nor to be predicted."""

_SCALED_BY_SIZE = {
    **dict.fromkeys(("class-index", "class-index-map", "class-number", "ordinal-index", "labels"), "C"),
    "frame-lengths": "T",
    "label-lengths": "S",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One positional argument of a loss. ``axes`` and ``role`` default to the kind's own.

    >>> Argument("input", "logits").shape({"N": 2, "C": 3})
    (2, 3)
    """

    name: str
    kind: str
    axes: str = ""
    as_role: Role | None = None

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    @property
    def role(self) -> Role:
        return self.as_role or self.of.role

    def shape(self, sizes: Sizes) -> tuple[int, ...]:
        """Lengths of the axes; sizes that are not given are the defaults of ``SIZES``."""
        return tuple(sizes.get(axis, SIZES.get(axis, 0)) for axis in (self.axes or self.of.axes).split())

    def draw(self, generator: Generator, sizes: Sizes, scale: float = 1.0) -> Tensor:
        """Ordinary values, float64 or int64. ``scale`` spreads real values (1 is ordinary)."""
        axis = _SCALED_BY_SIZE.get(self.kind)
        size = scale if axis is None else float(sizes.get(axis, SIZES[axis]))
        return self.of.draw(generator, self.shape(sizes), size)


def draw_case(
    arguments: tuple[Argument, ...], seed: int, sizes: Sizes | None = None, scale: float = 1.0
) -> tuple[Tensor, ...]:
    """One input for each argument, from one seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(argument.draw(generator, sizes or SIZES, scale) for argument in arguments)
