"""Losses as negative log-likelihoods: how a batch's loss is a weighted sum over rows, and what the model would draw.

A row is one target: a sample, a token, a pixel; for losses of real numbers every element. With ℓ_row = -ln p(y | f),
up to a constant, the score of a row is s = ∂ℓ_row/∂f. For a label that the model itself draws, E s = 0 and
E s sᵀ = ∂²ℓ_row/∂f², since the predictions are the natural parameters of an exponential family.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.weighting import denominator
from losscope.operators.linearisation import Linearisation

Draw = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``loss`` = Σ_row ``weight`` · ℓ_row for the rows that ``counts`` ([rows' shape] of ones and zeros).

    ``axis`` is the axis of the prediction over which a row's score runs, ``None`` where each element is a row.
    """

    axis: int | None
    weight: float
    counts: Tensor | float

    def inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Scalar products of the rows of two tensors of the prediction's shape, to broadcast against it."""
        product = a * b
        return product if self.axis is None else product.sum(self.axis, keepdim=True)


def _class_scores(z: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    p = z.softmax(axis)
    drawn = torch.multinomial(p.movedim(axis, -1).reshape(-1, z.shape[axis]), 1, generator=generator)
    shape = p.movedim(axis, -1).shape[:-1]
    label = drawn.reshape(*shape, 1).movedim(-1, axis)
    return p.scatter_add(axis, label, -torch.ones_like(p).narrow(axis, 0, 1))


def _draw_binary(z: Tensor, generator: torch.Generator) -> Tensor:
    p = z.sigmoid()
    return p - torch.bernoulli(p, generator=generator)


def _draw_real(z: Tensor, generator: torch.Generator) -> Tensor:
    """(f - t)² is -ln of a Gaussian of variance ½: its score 2(f - t) has variance 2."""
    return 2**0.5 * torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)


def _draw_counts(z: Tensor, generator: torch.Generator) -> Tensor:
    rate = z.exp()
    return rate - torch.poisson(rate, generator=generator)


_ELEMENTWISE: dict[str, Draw] = {
    "binary_cross_entropy_with_logits": _draw_binary,
    "mse": _draw_real,
    "poisson_nll": _draw_counts,
}
_PLAIN = {"weight": None, "pos_weight": None, "label_smoothing": 0.0, "log_input": True}
"""Options at which these losses are likelihoods in natural parameters."""


def term_of(objective: Objective, batch: Linearisation) -> Term:
    """The one term of a batch that is a likelihood. Raises ``BadUsage``, one line, where there is none."""
    anatomy = objective.anatomies[batch.index]
    terms = [] if anatomy is None else [t for t in anatomy.terms if t.target is not None]
    known = [t for t in terms if t.kind == "cross_entropy" or t.kind in _ELEMENTWISE]
    if len(terms) != 1 or not known or len(batch.predictions) != 1:
        raise BadUsage(
            "the loss is no likelihood that is known",
            seen="unknown" if anatomy is None else anatomy.expression,
            remedy="use GaussNewton or GradientCovariance, or a loss of "
            + ", ".join(["cross_entropy", *_ELEMENTWISE]),
        )
    (term,) = known
    odd = {
        name: value
        for name, value in term.options.items()
        if name in _PLAIN and not isinstance(value, Tensor) and value != _PLAIN[name]
    } | {name: "a tensor" for name, v in term.options.items() if name in _PLAIN and isinstance(v, Tensor)}
    if odd or term.sample_weight is not None:
        seen = ", ".join(f"{k}={v}" for k, v in odd.items()) or "weighted samples"
        raise BadUsage(
            "a weighted or smoothed loss is no likelihood of labels",
            seen=seen,
            remedy="leave that out, or use GaussNewton or GradientCovariance",
        )
    return term


def rows_of(term: Term, batch: Linearisation) -> Rows:
    """How the loss of a batch is a sum over rows."""
    (prediction,) = batch.predictions
    axis = _class_axis(term, prediction) if term.kind == "cross_entropy" else None
    count = denominator(term)
    weight = term.coefficient if term.reduction == "sum" or count is None else term.coefficient / count
    slope = batch.slope[0].detach()
    counts = 1.0 if axis is None else (slope != 0).any(axis, keepdim=True).to(prediction.dtype)
    return Rows(axis, weight, counts)


def _class_axis(term: Term, prediction: Tensor) -> int:
    """1, as in torch; the last one where a model reshapes its logits [B, T, C] before the loss."""
    if tuple(prediction.shape) == tuple(term.prediction_shape) or prediction.dim() == 1:
        return min(1, prediction.dim() - 1)
    return prediction.dim() - 1


def draw_scores(term: Term, rows: Rows, prediction: Tensor, generator: torch.Generator) -> Tensor:
    """∂ℓ_row/∂f for labels that are drawn from the model's own distribution."""
    if rows.axis is not None:
        return _class_scores(prediction, rows.axis, generator)
    return _ELEMENTWISE[term.kind](prediction, generator)
