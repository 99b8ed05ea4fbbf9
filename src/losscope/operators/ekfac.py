"""EKFAC: the eigenvectors of K-FAC's factors, with the true second moments of the gradients along them.

Among all matrices with those eigenvectors it is the nearest to the layer's Fisher block in the Frobenius norm, and so
never further than K-FAC: its eigenvalues are E[(u_iᵀ G v_j)²] with the gradient G of a sample, instead of the products
of the factors' eigenvalues (George et al., 2018, arXiv:1806.03884, equation 8).
"""

from losscope.objective.objective import Objective
from losscope.operators.kfac import LARGEST, Sharing, kronecker
from losscope.operators.structured.block_diagonal import BlockDiagonal
from losscope.operators.structured.blocks import Kronecker
from losscope.operators.structured.build import build
from losscope.operators.structured.parts import EigenPart, Part
from losscope.operators.structured.roots import Kind, Roots
from losscope.operators.structured.use import Use

__all__ = ["EKFAC"]


class EKFAC(BlockDiagonal):
    """The EKFAC approximation of an objective's Fisher matrix (without the penalty), at its model's parameters.

    Arguments, blocks and errors as for ``KFAC``. In batch normalisation in training mode samples meet; what flows at
    the places of a sample is taken for its own there, and ``structure`` says "samples not told apart". Cost: twice that
    of K-FAC, the eigenvectors of its factors, and about a gradient by the weights for each vector.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> EKFAC(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).dense()
    tensor([[1., 0.],
            [0., 4.]], dtype=torch.float64)
    """

    def __init__(
        self,
        objective: Objective,
        kind: Kind | None = None,
        *,
        sharing: Sharing = "expand",
        draws: int = 1,
        seed: int = 0,
        largest: int = LARGEST,
    ) -> None:
        roots = Roots(objective, kind, draws, seed)
        start = {one.positions: one.block for one in build(objective, roots, kronecker(sharing, largest))}

        def make(group: list[Use]) -> Part | None:
            block = start.get(group[0].positions)
            return EigenPart(block.eigen, group) if isinstance(block, Kronecker) else None

        super().__init__(objective, build(objective, roots, make))
        self.kind, self.sharing = roots.kind, sharing
