"""What the Gauss-Newton matrix leaves out of the Hessian: R = Σ_b c_b Σ_o ∂ℓ_b/∂f_o ∇²f_o.

∇²L = GaussNewton + R (Schraudolph, 2002, doi:10.1162/08997660260028683). R is the curvature of the network and not of
the loss: it is 0 for networks that are linear in θ and wherever the loss has no slope in the predictions. Its diagonal
is 0 for networks that are linear in each parameter tensor alone (ReLU networks without shared weights), although R is
not.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.objective.objective import Objective
from losscope.operators.derivatives import add_products_, gradients
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.kept import MEMORY, Kept
from losscope.operators.linearisation import Linearisation, linearise
from losscope.operators.second_derivative import SecondDerivative

__all__ = ["PenaltyHessian", "Residual"]


class Residual(SecondDerivative):
    """Σ ∂ℓ/∂f · ∇²f of the data term, [P, P]: symmetric, in general indefinite.

    Cost of a product, and what is tried: as the Hessian's. Raises ``BadUsage`` where the loss is not a function of the
    model's output, or where a second derivative is wrong.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> Residual(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).dense().tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        super().__init__(objective)
        chosen: dict[int, list[int]] = {}
        self._pulled = Kept(
            lambda: pulled_slopes(linearise(objective, chosen)),
            lambda piece: saved_bytes(piece[1]),
            objective,
            memory,
        )

    def product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for coefficient, pulled in self._pulled:
            add_products_(total, coefficient, pulled, self.objective.parameters, vectors)
        return total


class PenaltyHessian(SecondDerivative):
    """∇² of the penalty, [P, P]: λ·I for ½λ‖θ‖², 0 without a penalty.

    >>> import torch
    >>> objective = Objective(torch.nn.Linear(1, 1), torch.nn.functional.mse_loss, (torch.ones(1, 1),) * 2, 0.5)
    >>> PenaltyHessian(objective).dense().tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """

    def product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        if self.objective.whole.penalty is not None:
            for coefficient, gradient in gradients(self.objective, [(1.0, self.objective.penalty_of())]):
                add_products_(total, coefficient, gradient, self.objective.parameters, vectors)
        return total


def pulled_slopes(found: Iterator[Linearisation]) -> Iterator[tuple[float, Sequence[Tensor]]]:
    """Coefficient, and Jᵀs with its graph in θ, for the slopes s = ∂ℓ/∂f held constant."""
    for batch in found:
        yield batch.coefficient, pulled_slope(batch)


def pulled_slope(batch: Linearisation) -> Sequence[Tensor]:
    """The gradient of ⟨f, s⟩ for constant s, with its graph: its derivative is R."""
    return torch.autograd.grad(
        batch.predictions,
        batch.parameters,
        [s.detach() for s in batch.slope],
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
