"""Whether torch's second derivatives are the derivatives of its first: tried where that is not certain.

A custom ``torch.autograd.Function`` whose backward computes with detached values has a right gradient and, without a
word, a wrong Hessian, which may well be symmetric; so may a C++ operation with a backward of its own, and torch's own
``weight_norm``. Graphs of torch's other operations are believed. In the others the product with one random vector v is
held against (∇L(θ + hv) - ∇L(θ - hv)) / 2h, on one batch, in double precision, for two steps h.

Refused is only a clear contradiction: the two differences agree with each other ten times better than with the product.
Kinks between the points (ReLU) or rounding make them differ; then nothing is said.
"""

from collections.abc import Callable, Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.vectors import flat, parts
from losscope.operators.custom_functions import KNOWN_WRONG, names_of, nodes_of
from losscope.operators.derivatives import add_products_
from losscope.operators.linearisation import Linearisation, linearise_one
from losscope.operators.multi_affine import piecewise
from losscope.operators.state import state

__all__ = ["believe", "foreign", "foreign_in_loss", "state_of", "try_second_derivatives"]

_CLEAR = 10  # times what two steps differ by
_ROUNDED = 100  # roundings of the gradient over the step

Piece = Callable[[list[Tensor] | None], Tensor]
_FOREIGN: WeakKeyDictionary[Objective, tuple[object, dict[int, list[str]]]] = WeakKeyDictionary()
_TRIED: WeakKeyDictionary[Objective, tuple[object, BadUsage | None]] = WeakKeyDictionary()


def state_of(objective: Objective) -> object:
    """What a verdict holds for: the modes, and where the graph is not torch's own, all of the objective's state."""
    modes = [module.training for module in objective.whole.modules()]
    kept = _FOREIGN.get(objective)
    if kept is None or kept[0] != modes:
        _FOREIGN[objective] = modes, dict(_listed(objective))
    if not foreign(objective):
        return modes
    return state(objective)


def foreign(objective: Objective) -> list[str]:
    """Operations in the loss or the penalty whose second derivatives are not believed, by the names of their nodes."""
    if objective not in _FOREIGN:
        state_of(objective)
    return sorted({name for names in _FOREIGN[objective][1].values() for name in names})


def foreign_in_loss(objective: Objective) -> bool:
    """Whether such operations are in the loss itself, behind the predictions, or in the penalty."""
    listed = _FOREIGN[objective][1] if foreign(objective) else {}
    if len(objective.batches) in listed:
        return True
    return any(
        names_of(batch.loss, batch.predictions) for batch in (linearise_one(objective, i) for i in listed)
    )


def try_second_derivatives(objective: Objective) -> None:
    """Raises ``BadUsage`` where a second derivative contradicts finite differences of the gradient.

    Once for the parameters as they are. Cost: a forward pass of one batch where all operations are torch's own;
    otherwise about six gradients of one batch.
    """
    now = state_of(objective)
    kept = _TRIED.get(objective)
    if kept is None or kept[0] != now:
        with torch.enable_grad():
            kept = _TRIED[objective] = now, _tried(objective)
    if kept[1] is not None:
        raise kept[1]


def believe(objective: Objective, batch: Linearisation) -> None:
    """Raises ``BadUsage`` where the loss of a batch is of custom functions whose second derivatives are wrong.

    For ways that take the curvature of the loss alone. Cost: none where its operations are torch's own.
    """
    if batch.loss.grad_fn is not None and names_of(batch.loss, batch.predictions):
        try_second_derivatives(objective)


def _tried(objective: Objective) -> BadUsage | None:
    for index, names in _FOREIGN[objective][1].items():
        if _contradicted(objective, index, names):
            shown = ", ".join(KNOWN_WRONG.get(name, name.removesuffix("Backward")) for name in names)
            return BadUsage(
                "torch gives this network a second derivative that is not the derivative of its gradient",
                seen=f"a product with the Hessian contradicts finite differences, with {shown} in the graph",
                remedy=_remedy(names),
            )
    return None


def _remedy(names: Sequence[str]) -> str:
    if any(name in KNOWN_WRONG for name in names):
        return "take torch.nn.utils.parametrizations.weight_norm, or write v * (g / torch.norm_except_dim(v, 2, 0))"
    return "compute its backward from ctx.saved_tensors by torch's operations, without detach or .data"


def _listed(objective: Objective) -> Iterator[tuple[int, list[str]]]:
    """Of the first batch and of the penalty, which is the batch after the last."""
    first = next((i for i, c in enumerate(objective.coefficients) if c), None)
    penalty = None if objective.whole.penalty is None else len(objective.batches)
    for index in (first, penalty):
        if index is not None:
            names = names_of(_piece(objective, index)(None))
            if names:
                yield index, names


def _piece(objective: Objective, index: int) -> Piece:
    if index == len(objective.batches):
        return objective.penalty_of
    return lambda at: objective.loss_of(index, at)


def _contradicted(objective: Objective, index: int, names: list[str]) -> bool:
    """In double precision, unless the network cannot be had in it; then only where it has no kinks."""
    piece, leaves = _piece(objective, index), objective.parameters
    if all(p.dtype == torch.float64 for p in leaves):
        return _off(piece, leaves)
    try:
        copied, own = _in_double(objective, index)
        if names_of(own(None)) == names:  # a closure keeps the parameters of the model itself
            return _off(own, copied.parameters)
    except (BadUsage, RuntimeError, TypeError, ValueError):
        pass  # it is not to be copied, or written for one precision: it is tried as it is
    kinks = any(piecewise(node.name()) for node in nodes_of(piece(None)))
    return not kinks and all(p.dtype == torch.float32 for p in leaves) and _off(piece, leaves)


def _in_double(objective: Objective, index: int) -> tuple[Objective, Piece]:
    penalty = index == len(objective.batches)
    copied = Objective(
        objective.whole.model,
        objective.whole.loss,
        objective.batches if penalty else [objective.batches[index]],
        objective.whole.penalty,
        dtype=torch.float64,
        seed=objective.seed + (0 if penalty else index),
    )
    return copied, _piece(copied, index if penalty else 0)


def _off(piece: Piece, leaves: Sequence[Tensor]) -> bool:
    """Whether Hv is clearly not the derivative of the gradient along v, by central differences of steps h and 2h."""
    eps = torch.finfo(leaves[0].dtype).eps
    step = eps ** (1 / 2 if leaves[0].dtype == torch.float64 else 1 / 3)
    theta, v = flat(leaves, leaves), _direction(leaves)

    def gradient(at: Tensor, graph: bool = False) -> tuple[Sequence[Tensor], list[Tensor]]:
        own = [part.detach().requires_grad_() for part in parts(at, leaves)]
        return torch.autograd.grad(
            piece(own), own, create_graph=graph, allow_unused=True, materialize_grads=True
        ), own

    def difference(h: float) -> Tensor:
        ahead, behind = gradient(theta + h * v)[0], gradient(theta - h * v)[0]
        return (flat(ahead, leaves) - flat(behind, leaves)) / (2 * h)

    slope, own = gradient(theta, graph=True)
    product = torch.zeros_like(v)[:, None]
    add_products_(product, 1.0, slope, own, v[:, None])
    product = product[:, 0]
    near, far = difference(step), difference(2 * step)
    away, apart = float((product - near).norm()), float((near - far).norm())
    rounding = _ROUNDED * eps * float(flat(slope, leaves).norm()) / step
    least = eps**0.25 * max(float(product.norm()), float(near.norm()))
    return away > _CLEAR * apart and away > rounding and away > least


def _direction(leaves: Sequence[Tensor]) -> Tensor:
    """Random, of the size of each parameter's own entries."""
    generator = torch.Generator(leaves[0].device).manual_seed(0)
    sizes = [float(p.detach().square().mean().sqrt()) for p in leaves]
    usual = max(sizes) or 1.0
    drawn = [
        (size or usual) * torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device)
        for size, p in zip(sizes, leaves, strict=True)
    ]
    return flat(drawn, leaves)
