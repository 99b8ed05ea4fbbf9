"""The diagonal of a Fisher or Gauss-Newton matrix, by layer: second moments of per-sample gradients, entry by entry.

Becker and LeCun's diagonal preconditioner, without their neglect of the off-diagonal of inner layers (Becker and LeCun,
1989; exact by output: Dangel, Kunstner and Hennig, 2020, arXiv:1912.10985, section 3).
"""

from losscope.objective.objective import Objective
from losscope.operators.structured.block_diagonal import BlockDiagonal
from losscope.operators.structured.build import build
from losscope.operators.structured.roots import Kind, Roots

__all__ = ["Diagonal"]


class Diagonal(BlockDiagonal):
    """The diagonal of an objective's Fisher matrix (without the penalty), as a matrix with an inverse and a trace.

    ``kind``, ``draws``, ``seed`` and errors as for ``KFAC``. Exact for kind "exact" where samples do not meet in the
    network. A parameter that the network uses in a way that is not known by layers has an unbiased estimate, and so has
    one whose rows are not told apart by samples, before batch normalisation in training mode, say (``structure`` says
    so). Cost: a forward pass, two backward passes that ask which rows are whose, and about a gradient for each vector.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> Diagonal(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).dense()
    tensor([[1., 0.],
            [0., 4.]], dtype=torch.float64)
    """

    def __init__(
        self, objective: Objective, kind: Kind | None = None, *, draws: int = 1, seed: int = 0
    ) -> None:
        roots = Roots(objective, kind, draws, seed)
        super().__init__(objective, build(objective, roots, lambda _: None, exact=0))
        self.kind = roots.kind
