"""The objective as read from a live loss tensor."""

import html
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from losscope.anatomy.layers import Layers
from losscope.core.estimate import Estimate
from losscope.losses.spec import LossSpec
from losscope.losses.target_stats import TargetStats

_MAX_OBSERVED = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One term of the objective: ``coefficient`` × ``value``.

    ``value`` is the loss without its coefficient (``None`` where it could not be had without disturbing
    training). ``prediction`` and ``target`` are detached and may be ``None``; ``prediction_is`` says
    which form of the prediction was at hand ("logits", "log-probabilities", …). ``sample_weight``
    broadcasts against the target. ``count`` > 1 marks that many equal terms read as one: ``coefficient``
    is their sum and ``value`` their mean.
    """

    kind: str
    spec: LossSpec | None = field(repr=False)
    coefficient: float
    reduction: str
    value: float | None
    options: dict[str, Any] = field(default_factory=dict)
    prediction: Tensor | None = field(default=None, repr=False)
    target: Tensor | None = field(default=None, repr=False)
    prediction_shape: tuple[int, ...] = ()
    prediction_is: str = "values"
    activation: str | None = None
    chain: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    floor: float | None = None
    parameters: tuple[Tensor, ...] = field(default=(), repr=False)
    sample_weight: Tensor | None = field(default=None, repr=False)
    count: int = 1
    name: str = ""
    target_name: str = ""

    def observe(self, stats: TargetStats) -> None:
        """Add this term's targets to ``stats``.

        Copies them to the host; of more than 262,144 real numbers only every k-th row.
        """
        if self.target is None:
            return
        target, weight, stride = self.target, self.sample_weight, 1
        if target.dtype.is_floating_point:
            target = target.float() if target.element_size() < 4 else target
            if target.dim() > 1 and weight is None:
                stride = min(target.shape[0], 1 + target.numel() // _MAX_OBSERVED) or 1
                target = target[::stride]
        weights = None if weight is None else weight.float().cpu().numpy()
        stats.update(target.cpu().numpy(), self.options, weights, stride=stride)

    def chance(self, stats: TargetStats) -> Estimate | None:
        """The value of this term for the best constant predictor of the targets in ``stats``."""
        if self.spec is None or self.spec.chance is None:
            return None
        per_element = self.spec.chance(stats, self.options)
        return None if per_element is None else per_element.scaled(self.elements(stats))

    def elements(self, stats: TargetStats) -> float:
        """By how much the reduction multiplies the mean loss of an element that counts."""
        share = stats.kept_share if self.options.get("ignored_as_zero") else 1.0
        return stats.elements(self.reduction) * share


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Anatomy:
    """An objective as a sum of terms. ``repr`` is the expression. ``inputs`` are known on sampled updates alone."""

    expression: str
    terms: tuple[Term, ...]
    value: float
    signature: str
    parameters: tuple[Tensor, ...] = ()
    notes: tuple[str, ...] = ()
    layers: Layers | None = None
    inputs: tuple[Tensor, ...] = ()

    def __repr__(self) -> str:
        return self.expression

    def _repr_html_(self) -> str:
        rows = "".join(_row(term) for term in self.terms)
        return (
            f"<code>{html.escape(self.expression)}</code> = {self.value:.6g}"
            "<table><tr><th>term</th><th>coefficient</th><th>value</th><th>share</th><th>floor</th></tr>"
            f"{rows}</table>"
        )


def _row(term: Term) -> str:
    value = "unknown" if term.value is None else f"{term.value:.6g}"
    share = "" if term.value is None else f"{term.coefficient * term.value:.6g}"
    floor = "" if term.floor is None else f"{term.floor:.6g}"
    cells = (term.kind, f"{term.coefficient:.6g}", value, share, floor)
    return "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>"
