"""Losses as negative log-likelihoods: how a batch's loss is a weighted sum over rows, and what the model would draw.

A row is one target: a sample, a token, a pixel; for losses of real numbers every element. The loss of a batch is
Σ_row m_row ℓ_row with ℓ_row = -ln p(y | f) up to a constant, and scores s = ∂ℓ_row/∂f with E s = 0 for labels that the
model itself draws. Then Σ_row m_row E[s sᵀ] is the Fisher information in the space of predictions.

**How the likelihood is defined.** The mass m_row is how often the row counts: the loss's reduction and coefficient, 0
where a target is ignored, times a sample's or class's weight, as if the row had been observed so often. A soft or
smoothed target q is a row whose label was seen in the proportions q: the loss is its expected -ln p, and the model's
distribution, hence the Fisher information, is the same. Sums of such losses are likelihoods of independent labels.
The masses are read off the loss itself, from its first and second derivatives at the predictions, and whatever does
not have the derivatives of the likelihood that it is named for is refused.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.core.errors import BadUsage
from losscope.core.registry import discover
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation


class Rows(ABC):
    """Rows of one distribution, over one or two tensors of the predictions. ``mass`` broadcasts against these."""

    def __init__(self, slopes: Sequence[Tensor], mass: Tensor) -> None:
        self.slopes, self.mass = list(slopes), mass

    @abstractmethod
    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """m E[s sᵀ] w."""

    @abstractmethod
    def drawn(self, generator: torch.Generator) -> list[Tensor]:
        """√m s for labels that the model draws."""

    @abstractmethod
    def rooted(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """S w with S Sᵀ = m E[s sᵀ]: of random w of covariance I it has less spread than scores of drawn labels."""

    @abstractmethod
    def root(self) -> Iterator[list[Tensor]]:
        """Vectors r_k with Σ_k r_k r_kᵀ = m E[s sᵀ] in every sample; each has one row per sample at most."""

    @abstractmethod
    def inner(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        """Scalar products of the rows, to broadcast against the predictions."""

    def data(self) -> list[Tensor]:
        """√m s for the labels of the data."""
        scale = torch.where(self.mass > 0, self.mass, torch.inf).rsqrt()
        return [slope * scale for slope in self.slopes]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a family of distributions sees of a loss: tensors of the predictions, first and second derivatives."""

    predictions: list[Tensor]
    slopes: list[Tensor]
    curve: Callable[[list[Tensor]], list[Tensor]]
    term: Term

    @property
    def tolerance(self) -> float:
        """The relative difference below which two derivatives are equal up to rounding."""
        return 10 * math.sqrt(torch.finfo(self.predictions[0].dtype).eps)

    def agrees(self, found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
        """Whether two vectors over the predictions are equal up to rounding."""
        size = sum(float(e.double().square().sum()) for e in expected) ** 0.5
        pairs = zip(found, expected, strict=True)
        away = sum(float((f - e).double().square().sum()) for f, e in pairs) ** 0.5
        return away <= self.tolerance * size


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood:
    """A family: the losses that are its -ln p, over how many tensors, and how one is read (``None``: it is not)."""

    kinds: tuple[str, ...]
    read: Callable[[View], Rows | None]
    tensors: int = 1


class Scores:
    """All rows of one batch. Vectors are lists in the shapes of the predictions."""

    def __init__(self, predictions: Sequence[Tensor], groups: Sequence[tuple[list[int], Rows]]) -> None:
        self._predictions, self._groups = list(predictions), list(groups)

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Σ m E[s sᵀ] w, exactly."""
        return self._joined(rows.product([vector[i] for i in at]) for at, rows in self._groups)

    def drawn(self, generator: torch.Generator) -> list[Tensor]:
        """√m s, for labels that the model draws."""
        return self._joined(rows.drawn(generator) for _, rows in self._groups)

    def rooted(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """S w with S Sᵀ = m E[s sᵀ]."""
        return self._joined(rows.rooted([vector[i] for i in at]) for at, rows in self._groups)

    def data(self) -> list[Tensor]:
        """√m s, for the labels of the data."""
        return self._joined(rows.data() for _, rows in self._groups)

    def outer(self, score: Sequence[Tensor], vector: Sequence[Tensor]) -> list[Tensor]:
        """Σ_row s sᵀ w for scores of all rows."""
        found = []
        for at, rows in self._groups:
            own = [score[i] for i in at]
            along = rows.inner(own, [vector[i] for i in at])
            found.append([s * along for s in own])
        return self._joined(found)

    def flipped(self, vector: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        """A vector with an independent random sign for each row."""
        found = []
        for at, rows in self._groups:
            signs = torch.randint(0, 2, rows.mass.shape, generator=generator, device=rows.mass.device) * 2 - 1
            found.append([vector[i] * signs for i in at])
        return self._joined(found)

    def root(self) -> Iterator[list[Tensor]]:
        """Vectors r_k with Σ_k r_k r_kᵀ = m E[s sᵀ] in every sample."""
        for at, rows in self._groups:
            for vector in rows.root():
                whole = [torch.zeros_like(p) for p in self._predictions]
                for i, part in zip(at, vector, strict=True):
                    whole[i] = part
                yield whole

    def _joined(self, pieces: Iterator[list[Tensor]] | list[list[Tensor]]) -> list[Tensor]:
        whole = [torch.zeros_like(p) for p in self._predictions]
        for (at, _), piece in zip(self._groups, pieces, strict=True):
            for i, part in zip(at, piece, strict=True):
                whole[i] = part
        return whole


def signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random signs in the shape and type of a tensor."""
    drawn = torch.empty(like.shape, dtype=torch.int8, device=generator.device)
    return (2 * drawn.random_(0, 2, generator=generator) - 1).to(like)


def scores_of(objective: Objective, batch: Linearisation) -> Scores:
    """The rows of a batch's loss. Raises ``BadUsage``, one line, where it is no likelihood that is known."""
    anatomy = objective.anatomies[batch.index]
    terms = () if anatomy is None else anatomy.terms
    families = {kind: family for family in _families() for kind in family.kinds}
    if not terms or not all(term.kind in families and _has_target(term) for term in terms):
        raise _unknown("unknown" if anatomy is None else anatomy.expression, families)
    seen = anatomy.expression if anatomy is not None else ""
    predictions = [p.detach() for p in batch.predictions]
    slopes = [s.detach() for s in batch.slope]
    groups: list[tuple[list[int], Rows]] = []
    pending = list(range(len(predictions)))
    while pending:
        found = _first(batch, predictions, slopes, pending, terms, families)
        if found is None:
            raise _unknown(
                seen, families, "its derivatives are not those of the likelihood it is named for: "
            )
        groups.append(found)
        pending = [i for i in pending if i not in found[0]]
    return Scores(predictions, groups)


def _has_target(term: Term) -> bool:
    return term.target is not None or bool(term.options.get("has_target"))


def _families() -> list[Likelihood]:
    return list(discover("losscope.operators.likelihoods", "LIKELIHOOD").values())


def _first(
    batch: Linearisation,
    predictions: list[Tensor],
    slopes: list[Tensor],
    pending: list[int],
    terms: Sequence[Term],
    families: dict[str, Likelihood],
) -> tuple[list[int], Rows] | None:
    """The first tensor that is left, with the term that it belongs to, and that term's other tensor."""
    first = pending[0]
    ordered = sorted(terms, key=lambda t: _distance(t, predictions[first])) if len(terms) > 1 else terms
    for term in ordered:
        family = families[term.kind]
        sizes = (family.tensors, 1) if family.tensors > 1 else (1,)
        for size in sizes:
            at = pending[:size]
            if len(at) < size or any(predictions[i].shape != predictions[first].shape for i in at):
                continue
            curve = _curve_at(batch, at)
            view = View([predictions[i] for i in at], [slopes[i] for i in at], curve, term)
            if _apart(batch, at) and (rows := family.read(view)) is not None:
                return at, rows
    return None


def _distance(term: Term, prediction: Tensor) -> float:
    """How unlike the prediction that a term was read with is to a tensor: 0 the same, 1 of its shape, 2 neither."""
    if math.prod(term.prediction_shape) != prediction.numel():
        return 2.0
    if term.prediction is None or term.prediction.numel() != prediction.numel():
        return 1.0
    own = term.prediction.reshape(-1).to(prediction)
    axis = 1 if prediction.dim() > 1 else 0
    forms = [prediction, prediction.log_softmax(axis), prediction.log_softmax(-1)]
    return min(0.0 if torch.allclose(own, form.reshape(-1), rtol=1e-4, atol=1e-5) else 1.0 for form in forms)


def _curve_at(batch: Linearisation, at: list[int]) -> Callable[[list[Tensor]], list[Tensor]]:
    def curve(vector: list[Tensor]) -> list[Tensor]:
        whole = [torch.zeros_like(p) for p in batch.predictions]
        for i, part in zip(at, vector, strict=True):
            whole[i] = part
        found = batch.curve(whole)
        return [found[i] for i in at]

    return curve


def _apart(batch: Linearisation, at: list[int]) -> bool:
    """Whether the slope at other tensors of the predictions is independent of these."""
    if len(at) == len(batch.predictions):
        return True
    vector = [torch.ones_like(p) if i in at else torch.zeros_like(p) for i, p in enumerate(batch.predictions)]
    return not any(bool(f.any()) for i, f in enumerate(batch.curve(vector)) if i not in at)


def _unknown(seen: str, families: dict[str, Likelihood], why: str = "") -> BadUsage:
    return BadUsage(
        "the loss is no likelihood that is known",
        seen=why + seen,
        remedy="use GaussNewton or GradientCovariance, or a sum of losses among "
        + ", ".join(sorted(families)),
    )
