"""The objective that a network minimises: L(θ) = (1/N) Σ ℓ(f(θ; xᵢ), yᵢ) + λ R(θ)."""

import copy
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.anatomy.read import read
from losscope.core.errors import BadUsage, NotReadable
from losscope.objective import levels
from losscope.objective.arguments import (
    Loss,
    Penalty,
    WeightDecay,
    as_dtype,
    as_loss,
    as_model,
    as_penalty,
    one_number,
)
from losscope.objective.batches import batches, cast
from losscope.objective.evaluation import Evaluator, Whole, differentiable
from losscope.objective.factors import factors_of
from losscope.objective.precision import coarsest, precision_of, without_autocast
from losscope.objective.vectors import flat, parts
from losscope.objective.weighting import Weighing, weigh

_COUNTED = {"sum": "samples, since the loss sums", "denominator": "denominators", "samples": "samples"}


class Objective:
    """Mean loss of a model over data, and a penalty, as one function of the trainable parameters θ ∈ ℝᴾ.

    ``model`` is any module, ``loss(prediction, target)`` any function or module that gives one number; without
    ``loss`` the model returns it (Hugging Face: ``.loss``). ``data`` is one batch ``(inputs, targets)``, a dictionary
    of inputs, or an iterable of batches, which are kept; arrays of NumPy become tensors. ``penalty`` is a function of
    the model, or a number λ for ½λ‖θ‖², PyTorch's weight decay of all θ, which are the trained parameters of the model
    and of a loss that is trained with it. ``dtype`` and ``device`` make a copy of model and data; without them the
    model is looked at as it is, and is never changed: parameters (also those that it writes into itself, as for
    ``max_norm``), buffers, attributes, ``.grad``, modes and random state stay.

    The model's mode is part of the objective: in training mode batch normalisation uses the batch, and dropout draws
    the same masks, fixed by ``seed``, at every look. So is the autocast that is in force where the objective is made.
    Each batch enters with the weight of its denominator, or where that is not known, of its samples (``weighing.by``).
    L is a mean over samples also for a loss that sums; the loss as it was given is ``scale`` times the data term, and
    :meth:`as_given` is what an optimiser steps on. A parameter that several modules share counts once; those with
    ``requires_grad=False`` are constants.

    Cost: one forward pass over the data for a value, one gradient for a gradient. Raises ``BadUsage`` where there is
    nothing to train, no data, or no scalar loss.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(line.weight, 3.0)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x), penalty=0.5)
    >>> objective.data_value(), objective.penalty_value(), objective.value()
    (10.0, 2.25, 12.25)
    >>> objective.gradient()
    tensor([11.5000])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None = None,
        data: Any = None,
        penalty: float | Penalty | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> None:
        model, dtype = as_model(model, loss), as_dtype(dtype)
        self.whole = Whole(model, as_loss(loss), as_penalty(penalty))
        if dtype is not None or device is not None:
            self.whole = _copied(self.whole, dtype, device)
        real = (p for p in self.whole.parameters() if p.is_floating_point())
        self.batches = batches(data, loss, next(real, None))
        if dtype is not None or device is not None:
            move = cast(dtype, None if device is None else torch.device(device))
            self.batches = [batch.moved(move) for batch in self.batches]
        trained = [(n, p) for n, p in self.whole.named_parameters() if p.requires_grad]
        if not trained:
            raise BadUsage(
                "there is nothing to train: no parameter requires a gradient", seen=type(model).__name__
            )
        self.names = [name.removeprefix("model.") for name, _ in trained]
        self.parameters = [parameter for _, parameter in trained]
        for name, tensor in (*self.whole.named_parameters(), *self.whole.named_buffers()):
            if tensor.is_inference():
                raise BadUsage(
                    "the model was made or loaded inside torch.inference_mode(): it has no derivatives",
                    seen=name.removeprefix("model."),
                    remedy="make it outside, or give a copy.deepcopy() that was made outside",
                )
        for name, parameter in trained:
            if parameter.is_complex():
                raise BadUsage("a parameter is complex", seen=name.removeprefix("model."))
            if not bool(torch.isfinite(parameter).all()):
                raise BadUsage("a parameter is not finite", seen=name.removeprefix("model."))
        self.seed = seed
        self._evaluate = Evaluator(self.whole, [name for name, _ in trained], self.parameters, seed)
        if not isinstance(self.whole.penalty, WeightDecay | None) and not torch.is_inference_mode_enabled():
            with differentiable():
                self.penalty_of()  # one that cannot be used is refused at once

    def __repr__(self) -> str:
        many = f" in {len(self.batches)} batches, weighed by their {_COUNTED[self.weighing.by]}"
        over = f"{self.samples:,} samples{many if len(self.batches) > 1 else ''}"
        return f"<Objective of {self.size:,} parameters over {over}: {self.expression}>"

    # --- what it is -------------------------------------------------------------------------------
    @property
    def size(self) -> int:
        """Number of parameters P."""
        return sum(p.numel() for p in self.parameters)

    @property
    def samples(self) -> int:
        """Number of samples N."""
        return sum(batch.samples for batch in self.batches)

    @property
    def theta(self) -> Tensor:
        """The parameters as one vector [P], a copy."""
        with differentiable():
            return flat(self.parameters, self.parameters)

    @cached_property
    def expression(self) -> str:
        """What is minimised, in words of its terms."""
        found = self.anatomies[0].expression if self.anatomies[0] is not None else "unknown"
        return found if self.whole.penalty is None else f"{found} + penalty"

    @cached_property
    def anatomies(self) -> list[Anatomy | None]:
        """The objective of each batch as read off its autograd graph; ``None`` where it cannot be read."""
        return [anatomy for anatomy, *_ in self._readings]

    @cached_property
    def _readings(self) -> list[tuple[Anatomy | None, tuple[float, ...], torch.dtype]]:
        """Anatomy, the factors of the parts, and the coarsest type, of each batch."""
        with differentiable():
            losses = (self.loss_of(index) for index in range(len(self.batches)))
            return [(_read(loss), factors_of(loss), precision_of(loss)) for loss in losses]

    @property
    def precision(self) -> torch.dtype:
        """The coarsest type that its loss is computed in: under autocast another than that of the parameters."""
        return coarsest(kind for *_, kind in self._readings)

    @cached_property
    def weighing(self) -> Weighing:
        """How batches are weighed: ``factors``, and ``by`` "denominator", "sum", or "samples" for want of a better."""
        if len(self.batches) == 1 and self.batches[0].samples == 1:
            return Weighing([1.0], "denominator")
        return weigh(self.anatomies, self.batches, [factors for _, factors, _ in self._readings])

    @cached_property
    def coefficients(self) -> list[float]:
        """With what factor the loss of each batch enters L; they sum to 1 for a loss that is a mean."""
        return self.weighing.factors

    @cached_property
    def scale(self) -> float:
        """How many times the data term of L the loss is as it was given, in the mean over the batches.

        1 for a mean. A loss that sums is summed over the samples of a batch, while L is a mean over samples: then it
        is their number. An optimiser that steps on the loss as given descends :meth:`as_given` and not L.
        """
        found = 1 / sum(self.coefficients)
        return 1.0 if math.isclose(found, 1.0, rel_tol=1e-9) else found

    def as_given(self) -> "Objective":
        """The loss as it was given, in the mean over the batches, and the penalty: what an optimiser steps on.

        Itself where the loss is a mean. Learning rates are those of its curvature.
        """
        if self.scale == 1:
            return self
        given = copy.copy(self)
        given.coefficients = [self.scale * factor for factor in self.coefficients]
        given.scale = 1.0
        return given

    def terms(self) -> tuple[Term, ...]:
        """The terms of the loss, as read off the first batch."""
        return self.anatomies[0].terms if self.anatomies[0] is not None else ()

    @property
    def floor(self) -> float | None:
        """The smallest value that the data term can take, by the contracts of its losses; ``None`` unknown."""
        return levels.floor(self.anatomies, self.coefficients)

    @property
    def chance(self) -> float | None:
        """The data term of the best constant predictor for these targets; ``None`` unknown."""
        return levels.chance(self.anatomies, self.coefficients)

    @property
    def skill(self) -> float | None:
        """(chance - L) / (chance - floor) of the data term: 0 for a constant predictor, 1 at the floor."""
        chance, floor = self.chance, self.floor
        if chance is None or floor is None or chance <= floor:
            return None
        return (chance - self.data_value()) / (chance - floor)

    # --- values -----------------------------------------------------------------------------------
    def value(self, theta: Tensor | None = None) -> float:
        """L(θ), at the model's own parameters or at a vector [P]."""
        return self.data_value(theta) + self.penalty_value(theta)

    def data_value(self, theta: Tensor | None = None) -> float:
        """The mean loss over the data."""
        at, factors = self._at(theta), self.coefficients
        with differentiable(False):
            return sum(c * float(self.loss_of(i, at)) for i, c in enumerate(factors) if c)

    def penalty_value(self, theta: Tensor | None = None) -> float:
        """λ R(θ); 0 without a penalty."""
        if self.whole.penalty is None:
            return 0.0
        at = self._at(theta)
        with differentiable(False):
            return float(self.penalty_of(at))

    def gradient(self, theta: Tensor | None = None) -> Tensor:
        """∇L(θ) [P]."""
        at = self._at(theta)
        leaves = self.parameters if at is None else at
        total: Tensor | None = None
        with differentiable(), without_autocast():
            for coefficient, value in self.pieces(at):
                found = torch.autograd.grad(value, leaves, allow_unused=True)
                piece = flat(found, leaves).mul_(coefficient)
                total = piece if total is None else total.add_(piece)
        assert total is not None
        return total

    # --- what operators are made of -----------------------------------------------------------------
    def pieces(self, at: list[Tensor] | None = None) -> Iterator[tuple[float, Tensor]]:
        """Coefficient and value, with its graph, of each batch and of the penalty: L is their sum."""
        for index, coefficient in enumerate(self.coefficients):
            if coefficient:  # a mean over nothing, where everything is ignored, is NaN
                yield coefficient, self.loss_of(index, at)
        if self.whole.penalty is not None:
            yield 1.0, self.penalty_of(at)

    def loss_of(self, index: int, at: list[Tensor] | None = None) -> Tensor:
        """The loss of one batch with its graph, in the parameters themselves or in those given."""
        return _scalar(self._graph("loss", index, at), "loss")

    def prediction_of(self, index: int, at: list[Tensor] | None = None) -> Any:
        """What the model makes of one batch, with its graph."""
        return self._graph("prediction", index, at)

    def both_of(self, index: int, at: list[Tensor] | None = None) -> tuple[Any, Tensor]:
        """Prediction and loss of one batch, of one evaluation and in one graph."""
        prediction, loss = self._graph("both", index, at)
        return prediction, _scalar(loss, "loss")

    def penalty_of(self, at: list[Tensor] | None = None) -> Tensor:
        """The penalty with its graph."""
        return _scalar(self._graph("penalty", len(self.batches), at), "penalty")

    def _graph(self, what: str, index: int, at: list[Tensor] | None) -> Any:
        if torch.is_inference_mode_enabled():  # what is made of the graph here would be 0 without a word
            raise BadUsage(
                "derivatives are not recorded here",
                seen="torch.inference_mode()",
                remedy="leave it, or use torch.no_grad(), under which all of this works",
            )
        batch = self.batches[index] if index < len(self.batches) else None
        return self._evaluate(what, batch, index, at)

    def _at(self, theta: Tensor | None) -> list[Tensor] | None:
        if theta is None:
            return None
        if theta.shape != (self.size,):
            raise BadUsage(
                "θ must be a vector of all parameters", seen=f"{tuple(theta.shape)}, not ({self.size},)"
            )
        with differentiable():
            own = theta.clone() if theta.is_inference() else theta
            return [part.detach().requires_grad_() for part in parts(own, self.parameters)]


def _copied(whole: Whole, dtype: torch.dtype | None, device: torch.device | str | None) -> Whole:
    """A copy of another type, or on another device."""
    try:
        copied = copy.deepcopy(whole)
    except (RuntimeError, TypeError) as error:  # torch.nn.utils.weight_norm keeps a tensor with a graph
        raise BadUsage(
            "the model cannot be copied",
            seen=str(error).partition("\n")[0],
            remedy="give it in the type and on the device that you want, or use torch.nn.utils.parametrizations",
        ) from None
    try:
        return copied.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError, TypeError) as error:  # a device that is not there, or that is none
        raise BadUsage(
            "the model cannot be moved there",
            seen=f"device={str(device)!r}: " + str(error).partition("\n")[0],
        ) from None


def _scalar(value: Any, what: str) -> Tensor:
    found = one_number(value, what)
    with differentiable():
        return found.reshape(())


def _read(loss: Tensor) -> Anatomy | None:
    try:
        return read(loss, deep=False)
    except NotReadable:
        return None
