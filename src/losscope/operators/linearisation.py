"""A network and its loss at θ, taken apart: the Jacobian of its predictions, and the loss as a function of these.

What the loss is computed from is found in the model's output: the tensors through which all of ∇L flows. That is
checked once, ∇L = Jᵀ ∂ℓ/∂f: a model whose loss reaches parameters beside its output (an auxiliary loss, say) is
refused, since a Gauss-Newton matrix of a part of it would be wrong without a word. Where the graph has a path beside
the output along which the gradient is 0, one product tells whether the second derivative is 0 as well (``0 * x.sum()``)
or not (½‖b‖² at b = 0).

J v is the derivative of u ↦ Jᵀu, which is linear in u (the double-backward trick: Townsend, 2017), so that every
network that can be differentiated twice has it. Both products reuse one graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.vectors import flat, parts
from losscope.operators.custom_functions import names_of
from losscope.operators.derivatives import add_products_
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.reach import suffices
from losscope.operators.twice import differentiable_twice

_AGREE = 1e-3  # of the norm of the gradient, in float32: rounding of two ways to sum it


@dataclass(eq=False)
class Linearisation:
    """One batch. ``predictions`` are the tensors that the loss is computed from, ``coefficient`` is its weight in L.

    Vectors over predictions are lists of tensors in their shapes.
    """

    index: int
    coefficient: float
    predictions: list[Tensor]
    loss: Tensor
    parameters: Sequence[Tensor]

    @cached_property
    @differentiable_twice()
    def slope(self) -> list[Tensor]:
        """∂ℓ/∂f with its graph."""
        return list(torch.autograd.grad(self.loss, self.predictions, create_graph=True))

    @cached_property
    def _pullback(self) -> tuple[list[Tensor], list[Tensor]]:
        """(u, Jᵀu) with the graph of the second in the first."""
        u = [torch.zeros_like(p, requires_grad=True) for p in self.predictions]
        pulled = torch.autograd.grad(
            self.predictions,
            self.parameters,
            u,
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return u, list(pulled)

    @property
    def samples(self) -> int | None:
        """Length of the first axis of the predictions; ``None`` where they have none in common."""
        lengths = {p.shape[0] if p.dim() else 0 for p in self.predictions}
        return lengths.pop() if len(lengths) == 1 and 0 not in lengths else None

    @property
    def bytes(self) -> int:
        """Memory that its graphs keep alive."""
        return saved_bytes([*self._pullback[1], *self.slope])

    def push(self, vector: Tensor) -> list[Tensor]:
        """J v, for a vector [P] over the parameters.

        With custom functions in the graph it is tried once, uᵀ(Jv) = (Jᵀu)ᵀv: ``BadUsage`` where that fails.
        """
        if self._fault is not None:
            raise self._fault
        return self._pushed(vector)

    @cached_property
    def _fault(self) -> BadUsage | None:
        """What is wrong with J v as a derivative of Jᵀu, which a custom function may give wrong."""
        names = sorted({name for p in self.predictions if p.requires_grad for name in names_of(p)})
        if not names:
            return None
        v, generator = _direction(self.parameters)
        drawn = [torch.randn(p.shape, generator=generator).to(p) for p in self.predictions]
        pushed, u = (torch.cat([t.reshape(-1).double() for t in ts]) for ts in (self._pushed(v), drawn))
        one, other = float(u @ pushed), float(self.pull(drawn).double() @ v.double())
        size = max(float(pushed.norm()), abs(other) / len(u) ** 0.5)
        if abs(one - other) <= 1000 * torch.finfo(v.dtype).eps * float(u.norm()) * size:
            return None
        return BadUsage(
            "torch gives this network a Jacobian that is not the transpose of its pullback",
            seen=f"uᵀ(Jv) = {one:.6g}, (Jᵀu)ᵀv = {other:.6g}, with {', '.join(names)} in the graph",
            remedy="compute its backward by torch's operations, without once_differentiable",
        )

    @differentiable_twice()
    def _pushed(self, vector: Tensor) -> list[Tensor]:
        u, pulled = self._pullback
        column = parts(vector.contiguous(), self.parameters)
        known = [i for i, g in enumerate(pulled) if g.requires_grad]
        found = torch.autograd.grad(
            [pulled[i] for i in known],
            u,
            [column[i] for i in known],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return [f.detach() for f in found]

    def pull(self, weights: Sequence[Tensor]) -> Tensor:
        """Jᵀ w [P], for a vector over the predictions."""
        found = torch.autograd.grad(
            self.predictions, self.parameters, list(weights), retain_graph=True, allow_unused=True
        )
        return flat(found, self.parameters)

    @differentiable_twice()
    def curve(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """∂²ℓ/∂f² w."""
        known = [(s, v) for s, v in zip(self.slope, vector, strict=True) if s.requires_grad]
        if not known:
            return [torch.zeros_like(p) for p in self.predictions]
        found = torch.autograd.grad(
            [s for s, _ in known],
            self.predictions,
            [v for _, v in known],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return [f.detach() for f in found]


def linearise(objective: Objective, chosen: dict[int, list[int]] | None = None) -> Iterator[Linearisation]:
    """Every batch that counts, one by one. Raises ``BadUsage`` where the loss is not a function of the output.

    ``chosen`` remembers which tensors of the output that was checked for, so that it is checked once.
    """
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            yield linearise_one(objective, index, chosen)


def linearise_one(
    objective: Objective, index: int, chosen: dict[int, list[int]] | None = None
) -> Linearisation:
    """One batch."""
    output, loss = objective.both_of(index)
    of_output = tensors(output)
    if chosen is not None and index in chosen:
        picked = [of_output[place] for place in chosen[index]]
        return Linearisation(index, objective.coefficients[index], picked, loss, objective.parameters)
    found = _taken_apart(objective, index, of_output, loss)
    if chosen is not None:
        chosen[index] = [i for i, t in enumerate(of_output) if any(t is p for p in found.predictions)]
    return found


def _taken_apart(
    objective: Objective, index: int, of_output: Sequence[Tensor], loss: Tensor
) -> Linearisation:
    """The first choice of tensors of the output through which the whole gradient flows."""
    candidates = [t for t in of_output if t.requires_grad]
    if candidates:
        slopes = torch.autograd.grad(loss, candidates, retain_graph=True, allow_unused=True)
        pairs = zip(candidates, slopes, strict=True)
        candidates = [c for c, s in pairs if s is not None and not _is_loss(c, s, loss)]
    whole = flat(
        torch.autograd.grad(loss, objective.parameters, retain_graph=True, allow_unused=True),
        objective.parameters,
    )
    choices = [candidates, *([c] for c in candidates)] if len(candidates) > 1 else [candidates]
    for chosen in choices:
        if not chosen:
            continue
        found = Linearisation(index, objective.coefficients[index], chosen, loss, objective.parameters)
        through = found.pull([s.detach() for s in found.slope])
        tolerance = _AGREE if whole.dtype == torch.float32 else 1e-8 if whole.dtype == torch.float64 else 0.1
        if float((through - whole).norm()) > tolerance * float(whole.norm()) + 1e-30:
            continue
        if suffices(chosen, loss, objective.parameters) or _flat_beside(found, tolerance):
            return found
    raise BadUsage(
        "the loss is not a function of the model's output alone",
        seen=f"{len(candidates)} tensors of the output reach it"
        if candidates
        else "no tensor of the output reaches it",
        remedy="use the Hessian, or return what the loss is computed from",
    )


def _flat_beside(batch: Linearisation, tolerance: float) -> bool:
    """Whether ∇²ℓ v = Jᵀ (∂²ℓ/∂f²) J v + Σ ∂ℓ/∂f ∇²f v for a random v: no curvature comes by other paths."""
    leaves = batch.parameters
    v, _ = _direction(leaves)
    slope = [s.detach() for s in batch.slope]
    whole, rest = torch.zeros_like(v)[:, None], torch.zeros_like(v)[:, None]
    for total, outputs, weights in ((whole, [batch.loss], None), (rest, batch.predictions, slope)):
        gradient = torch.autograd.grad(
            outputs, leaves, weights, create_graph=True, allow_unused=True, materialize_grads=True
        )
        add_products_(total, 1.0, gradient, leaves, v[:, None])
    through = rest[:, 0] + batch.pull(batch.curve(batch.push(v)))
    return float((whole[:, 0] - through).norm()) <= tolerance * float(whole.norm()) + 1e-30


def _direction(parameters: Sequence[Tensor]) -> tuple[Tensor, torch.Generator]:
    """A random vector [P] over the parameters, always the same, and what it was drawn from."""
    like = flat(parameters, parameters)
    generator = torch.Generator(like.device).manual_seed(0)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device), generator


def _is_loss(tensor: Tensor, slope: Tensor, loss: Tensor) -> bool:
    """Whether an output is the loss itself, which a model returns beside its predictions."""
    return tensor.numel() == 1 and bool((slope == 1).all()) and bool((tensor.reshape(()) == loss).all())


def tensors(output: Any) -> list[Tensor]:
    """All tensors of real numbers in an output, in order, each once."""
    found: dict[int, Tensor] = {}
    pending = [output]
    while pending:
        value = pending.pop(0)
        if isinstance(value, Tensor):
            if value.is_floating_point():
                found.setdefault(id(value), value)
        elif isinstance(value, Mapping):
            pending = [*value.values(), *pending]
        elif isinstance(value, tuple | list):
            pending = [*value, *pending]
    return list(found.values())
