"""The generalised Gauss-Newton matrix Jᵀ (∂²ℓ/∂f²) J of an objective: its Hessian with the network linearised.

Schraudolph, 2002, doi:10.1162/08997660260028683. Positive semi-definite for a loss that is convex in the predictions f,
also where the Hessian is not; equal to the Fisher information for likelihoods in natural parameters (softmax
cross-entropy, squared error, Poisson with log rate): Martens, 2020, arXiv:1412.1193. What it leaves out of the Hessian
is Σ ∂ℓ/∂f · ∇²f, which vanishes at a perfect fit and for networks that are linear in θ.
"""

import torch
from torch import Tensor

from losscope.objective.objective import Objective
from losscope.operators.derivatives import add_products_, gradients
from losscope.operators.kept import MEMORY
from losscope.operators.of_objective import linearised
from losscope.operators.second_derivative import SecondDerivative

__all__ = ["GaussNewton"]


class GaussNewton(SecondDerivative):
    """Σ c_b J_bᵀ (∂²ℓ_b/∂f²) J_b plus the Hessian of the penalty, [P, P].

    Cost of a product: a pass through the pullback's graph, and a backward pass: about 1.5 to 3 gradients. Raises
    ``BadUsage`` where the loss is not a function of the model's output alone.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]), penalty=1.0)
    >>> GaussNewton(objective).dense()
    tensor([[2., 0.],
            [0., 5.]], dtype=torch.float64)
    """

    of_network = False

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        super().__init__(objective)
        self._batches = linearised(objective, memory)

    def product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for batch in self._batches:
            for j in range(vectors.shape[1]):
                curved = batch.curve(batch.push(vectors[:, j]))
                total[:, j].add_(batch.pull(curved), alpha=batch.coefficient)
        if self.objective.whole.penalty is not None:
            penalty = [(1.0, self.objective.penalty_of())]
            for coefficient, gradient in gradients(self.objective, penalty):
                add_products_(total, coefficient, gradient, self.objective.parameters, vectors)
        return total
