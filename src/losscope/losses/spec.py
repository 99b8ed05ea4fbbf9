"""What losscope knows about one loss, and how it recognises it in an autograd graph."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import SIZES, Argument
from losscope.losses.calls import of_chance, of_derivative, of_floor

if TYPE_CHECKING:
    from torch import Tensor, nn

    from losscope.losses.graph.linear import Part
    from losscope.losses.graph.node import Node

Options = Mapping[str, Any]
Task = Literal[
    "multi-class", "binary", "multi-label", "ordinal", "regression", "counts", "survival", "ranking",
    "embedding", "segmentation", "detection", "distribution", "sequence", "preference", "game",
    "reinforcement", "distillation", "generative", "physics", "penalty",
]  # fmt: skip
InputSpace = Literal[
    "logits", "log-probabilities", "probabilities", "log-likelihoods", "scores", "values", "embeddings",
    "samples", "boxes", "any",
]  # fmt: skip
GradientKind = Literal["exact", "detached", "projected", "envelope"]


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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LossSpec:
    """The contract of one loss.

    What it is: ``formula`` is LaTeX for one sample, ``also`` are other names by which people know it.
    ``function(*arguments, **options)`` computes it (torch's, a library's or our own) and ``module`` is its
    ``nn.Module`` form. ``arguments`` say what it takes, in order; ``sizes`` replaces lengths of axes; ``variants`` are
    option sets under which the contract is executed besides the defaults.

    What its value means: ``range`` is the infimum and supremum over all inputs of the domain and
    ``attained`` says where the infimum is. ``chance(stats, options)`` is the mean loss per element of the
    best constant predictor for the targets seen; ``stats`` may be the targets themselves. ``floor(options, stats)``
    is the smallest mean loss that these options allow; both are ``None`` where the notion makes no sense.
    ``normaliser(options)`` is the value that counts as 1 (ln C). ``unit`` is "nats" for logarithms of probabilities.
    ``value_is_progress`` is false where a smaller value does not mean a better model.

    What it does: ``elicits`` names what the minimiser of the expected loss is (mean, median, quantile,
    expectile, probability, mode …); ``claims`` are executed by the checkers of ``losscope.checks``.
    ``gradient(prediction, target, options)`` and ``logit_hessian(prediction, target, options)`` are closed
    forms of the unreduced loss, [N, C] and [N, C, C]. ``gradient_kind`` is "exact" where autograd gives the
    gradient of the value; "detached" where a part is held constant on purpose; "projected" or "envelope"
    where an inner problem is not differentiated through. ``batch_coupled``: the loss of a batch is not the
    mean over its samples. ``denominator`` says in words what ``mean`` divides by. ``exceptions`` declares
    what a checker reports, by its name, and why it is so.

    ``references`` are DOI or arXiv ids, or addresses.
    """

    name: str
    family: str
    task: Task
    formula: str
    input_space: InputSpace
    range: tuple[float, float]
    title: str = ""
    also: tuple[str, ...] = ()
    function: "Callable[..., Tensor] | None" = None
    module: "type[nn.Module] | None" = None
    arguments: tuple[Argument, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    variants: tuple[Options, ...] = ()
    attained: str = ""
    value_is_progress: bool = True
    chance: Callable[..., Estimate | None] | None = None
    floor: Callable[..., float | None] | None = None
    normaliser: Callable[[Options], float | None] | None = None
    unit: Literal["", "nats"] = ""
    elicits: str = ""
    claims: tuple[Claim, ...] = ()
    gradient: "Callable[..., Tensor] | None" = None
    logit_hessian: "Callable[..., Tensor] | None" = None
    gradient_kind: GradientKind = "exact"
    batch_coupled: bool = False
    stateful: bool = False
    denominator: str = "number of elements"
    exceptions: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    combinations: tuple[Combination, ...] = ()
    references: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    twins: tuple[Twin, ...] = ()

    def __post_init__(self) -> None:
        """Whoever calls a level or a derivative need not give options."""
        kind = next((a.kind for a in self.arguments if a.role == "target"), "")
        made = {
            "chance": self.chance and of_chance(self.chance, kind),
            "floor": self.floor and of_floor(self.floor),
            "gradient": self.gradient and of_derivative(self.gradient),
            "logit_hessian": self.logit_hessian and of_derivative(self.logit_hessian),
        }
        for name, call in made.items():
            object.__setattr__(self, name, call)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Lengths of all axes that cases are drawn with: the usual ones, and this loss's own ``sizes``."""
        return {**SIZES, **self.sizes}

    def __repr__(self) -> str:
        return f"<LossSpec {self.name}: {self.title}, range {self.range}>"

    def _repr_html_(self) -> str:
        """For notebooks: what ``losscope losses NAME`` tells."""
        from losscope.losses.describe import facts  # lazy: that file needs this one

        rows = (f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in facts(self))
        return f"<b>{escape(self.name)}</b>: {escape(self.title)}<table>{''.join(rows)}</table>"


def needed_options(spec: LossSpec) -> dict[str, Any]:
    """Options that the function cannot do without, as the first of the contract's variants gives them."""
    if spec.function is None or not spec.variants:
        return {}
    parameters = inspect.signature(spec.function).parameters
    needed = {n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    return {name: value for name, value in spec.variants[0].items() if name in needed}
