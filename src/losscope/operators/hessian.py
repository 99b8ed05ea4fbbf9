"""The Hessian ∇²L(θ) of an objective, by differentiating its gradient's graph once more.

A product costs one pass backward through the gradient's graph: about 1.5 to 3 gradients (Pearlmutter, 1994,
doi:10.1162/neco.1994.6.1.147; here reverse over reverse). The graph is made once and kept for all products while it
fits in ``memory`` bytes and the parameters stay as they are; otherwise it is made again for every block of vectors, so
that blocks are cheaper than single vectors. Forward mode is not used: nested, it is silently wrong through layer norm.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.vectors import flat, parts
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.kept import MEMORY, Kept
from losscope.operators.of_objective import OfObjective

__all__ = ["Hessian"]

_ROUNDING = 1000  # times that of one number, relative to the lengths of the vectors
_ROUNDED = 10  # times what is lost in a sum of two vectors


class Hessian(OfObjective):
    """∇²L of an objective at its model's own parameters, [P, P], in their precision.

    The first two vectors are tried for symmetry, uᵀHv = vᵀHu, at the cost of four scalar products: torch's second
    derivatives of some operations (``weight_norm``) are wrong without a word. Raises ``BadUsage`` where that fails.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]), penalty=1.0)
    >>> Hessian(objective).dense()
    tensor([[2., 0.],
            [0., 5.]], dtype=torch.float64)
    """

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        super().__init__(objective)
        self._gradients = Kept(
            lambda: gradients(objective, objective.pieces()),
            lambda piece: saved_bytes(piece[1]),
            objective,
            memory,
        )
        self._seen: list[tuple[Tensor, Tensor]] | None = []

    def apply(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for coefficient, gradient in self._gradients:
            add_products_(total, coefficient, gradient, self.objective.parameters, vectors)
        if self._seen is not None:
            self._seen += [(v.clone(), h.clone()) for v, h in zip(vectors.T[:2], total.T[:2], strict=True)]
            if len(self._seen) > 1:
                (u, hu), (v, hv), *_ = self._seen
                self._seen = None
                self._check_symmetry(u.double(), hu.double(), v.double(), hv.double())
        return total

    def _check_symmetry(self, u: Tensor, hu: Tensor, v: Tensor, hv: Tensor) -> None:
        """Raises ``BadUsage`` where uᵀHv ≠ vᵀHu by more than rounding: some operation's second derivative is wrong.

        Under autocast rounding is larger than the parameters' type says; it then spoils H(u + v) = Hu + Hv as well.
        """
        one, other = float(u @ hv), float(v @ hu)
        scale = float(u.norm() * hv.norm() + v.norm() * hu.norm())
        if abs(one - other) <= _ROUNDING * torch.finfo(self.dtype).eps * scale:
            return
        rest = self.apply((u + v).to(self.dtype)[:, None])[:, 0].double() - hu - hv
        if abs(one - other) <= _ROUNDED * float(
            abs(u @ rest) + abs(v @ rest) + rest.norm() * (u.norm() + v.norm()) / len(u) ** 0.5
        ):
            return
        raise BadUsage(
            "torch gives this network a second derivative that is not symmetric, so that it is wrong",
            seen=f"uᵀHv = {one:.6g}, vᵀHu = {other:.6g}",
            remedy="some operation cannot be differentiated twice; of weight_norm it is known: "
            "torch.nn.utils.parametrize.remove_parametrizations takes it off",
        )


def gradients(
    objective: Objective, pieces: Iterable[tuple[float, Tensor]]
) -> Iterator[tuple[float, Sequence[Tensor]]]:
    """Coefficient and gradient with its graph, of every piece of an objective."""
    for coefficient, value in pieces:
        yield (
            coefficient,
            torch.autograd.grad(
                value, objective.parameters, create_graph=True, allow_unused=True, materialize_grads=True
            ),
        )


def add_products_(
    total: Tensor, coefficient: float, gradient: Sequence[Tensor], leaves: Sequence[Tensor], vectors: Tensor
) -> None:
    """Add ``coefficient`` times the derivative of a gradient along each column of ``vectors``, in place."""
    known = [i for i, g in enumerate(gradient) if g.requires_grad]
    if not known:
        return
    for j in range(vectors.shape[1]):
        column = parts(vectors[:, j].contiguous(), leaves)
        found = torch.autograd.grad(
            [gradient[i] for i in known],
            leaves,
            [column[i] for i in known],
            retain_graph=True,
            allow_unused=True,
        )
        total[:, j].add_(flat(found, leaves), alpha=coefficient)
