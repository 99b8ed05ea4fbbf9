"""What losscope knows about one loss, and how it recognises it in an autograd graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from losscope.core.estimate import Estimate
from losscope.losses.target_stats import TargetStats

if TYPE_CHECKING:
    from torch import Tensor

    from losscope.losses.graph.linear import Part
    from losscope.losses.graph.node import Node

Options = Mapping[str, Any]
Task = Literal[
    "multi-class", "binary", "multi-label", "regression", "counts", "ranking", "embedding", "segmentation",
    "distribution", "sequence", "game", "reinforcement", "penalty",
]  # fmt: skip
InputSpace = Literal["logits", "log-probabilities", "probabilities", "scores", "values", "embeddings", "any"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a signature found at one place of a graph.

    ``prediction`` is the node whose output the loss judges; ``tensor`` is that output as autograd kept
    it, maybe in another form that ``tensor_is`` names ("log-probabilities" of logits). ``reduction`` is
    the loss's own (fused) one, or ``None`` where nodes above it reduce ``elements`` (by default the
    matched node's shape). ``sign`` multiplies the coefficient: -1 for ``log p`` read as a cross-entropy.
    ``weights`` replaces the part's weights where some of them are the target. ``consumed`` and ``factor``
    (the scale of the whole) are for combinations. With ``absorbs_constant`` a constant in the objective
    belongs to this loss (the 1 of ``1 - dice``). ``output`` computes the matched node's output where the
    generic recomputation cannot; ``difference`` is the node of prediction - target.
    """

    prediction: "Node | None" = None
    tensor: "Tensor | None" = None
    target: "Tensor | None" = None
    target_node: "Node | None" = None
    options: dict[str, Any] = field(default_factory=dict)
    reduction: str | None = None
    elements: tuple[int, ...] | None = None
    weights: "tuple[Tensor, ...] | None" = None
    sign: float = 1.0
    notes: tuple[str, ...] = ()
    kind: str | None = None
    tensor_is: str | None = None
    consumed: "tuple[Part, ...]" = ()
    factor: float | None = None
    absorbs_constant: bool = False
    difference: "Node | None" = None
    output: "Callable[[], Tensor | None] | None" = None


@dataclass(frozen=True, slots=True)
class Signature:
    """How a loss looks as the top of a graph: the operations it may begin with, and a closer look.

    ``match`` gets one additive part of the objective and answers with a reading, or ``None`` where the
    part only resembles the loss.
    """

    ops: tuple[str, ...]
    match: "Callable[[Part], Reading | None]"


@dataclass(frozen=True, slots=True)
class Combination:
    """How a loss looks that is a sum of several parts, such as ``logsumexp(z) - z[y]``.

    ``match`` gets all parts that nothing has recognised as a whole and begins at one of them whose
    operation is in ``ops``; the reading's ``consumed`` lists the parts that it explains.
    """

    ops: tuple[str, ...]
    match: "Callable[[Part, list[Part]], Reading | None]"


@dataclass(frozen=True, slots=True)
class Example:
    """One way to write the loss: a Python expression over the names of ``losscope.losses.examples``.

    ``equals`` is an expression for the same loss by its definition; the reading must report its value,
    ``coefficient``, ``reduction``, and at least the ``options``, ``notes`` and ``activation`` given.
    """

    code: str
    equals: str
    reduction: str = "mean"
    coefficient: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    activation: str | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """An expression that resembles the loss and must be read as ``kind`` (a prefix) instead."""

    code: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """The contract of one loss.

    ``formula`` is LaTeX for one sample, ``range`` the infimum and supremum over all inputs.
    ``chance(stats, options)`` is the mean loss per element of the best constant predictor for the
    targets seen; ``floor(options, stats)`` the smallest mean loss that these options allow. Both are
    ``None`` where the notion makes no sense. ``value_is_progress`` is false where a smaller value does
    not mean a better model. ``references`` are DOI or arXiv ids, or addresses.
    """

    name: str
    family: str
    task: Task
    formula: str
    input_space: InputSpace
    range: tuple[float, float]
    title: str = ""
    value_is_progress: bool = True
    chance: Callable[[TargetStats, Options], Estimate | None] | None = None
    floor: Callable[[Options, TargetStats | None], float | None] | None = None
    normaliser: Callable[[Options], float | None] | None = None
    signatures: tuple[Signature, ...] = ()
    combinations: tuple[Combination, ...] = ()
    references: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    twins: tuple[Twin, ...] = ()
