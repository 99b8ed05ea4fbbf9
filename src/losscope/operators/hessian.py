"""The Hessian ∇²L(θ) of an objective, by differentiating its gradient's graph once more.

A product costs one pass backward through the gradient's graph: about 1.5 to 3 gradients (Pearlmutter, 1994,
doi:10.1162/neco.1994.6.1.147; here reverse over reverse). The graph is made once and kept for all products while it
fits in ``memory`` bytes and the parameters stay as they are; otherwise it is made again for every block of vectors, so
that blocks are cheaper than single vectors. Forward mode is not used: nested, it is silently wrong through layer norm.
"""

import torch
from torch import Tensor

from losscope.objective.objective import Objective
from losscope.operators.derivatives import add_products_, gradients
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.kept import MEMORY, Kept
from losscope.operators.second_derivative import SecondDerivative

__all__ = ["Hessian"]


class Hessian(SecondDerivative):
    """∇²L of an objective at its model's own parameters, [P, P], in their precision.

    Torch's second derivatives of some operations are wrong without a word: of its kernel for ``weight_norm`` (which is
    replaced where a model calls it through ``torch.nn.utils``), and of a custom
    ``autograd.Function`` whose backward computes with detached values. So before the first product is given out

    * uᵀHv = vᵀHu is tried for the first vector and a random one, once for an objective (one more product);
    * where the graph of a batch or of the penalty has a custom function, in Python or C++, or ``weight_norm``, Hv is
      held against central differences of the gradient along a random v at two steps, on one batch and in double
      precision (about six gradients), again whenever the parameters have changed. Kinks and rounding leave that
      undecided, and then nothing is said. Straight-through gradients, which are no gradients of the value, fail it.

    Raises ``BadUsage``, naming the function, where one of them fails.

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

    def product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for coefficient, gradient in self._gradients:
            add_products_(total, coefficient, gradient, self.objective.parameters, vectors)
        return total
