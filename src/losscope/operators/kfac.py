"""K-FAC: the Fisher matrix of each layer as a Kronecker product of two small ones, A ⊗ B.

For a weight W with inputs a and gradients g = ∂ℓ/∂(Wa + b) the block E[a aᵀ ⊗ g gᵀ] is taken for E[a aᵀ] ⊗ E[g gᵀ]:
as if inputs and gradients were independent (Martens and Grosse, 2015, arXiv:1503.05671, section 3; convolutions:
Grosse and Martens, 2016, arXiv:1602.01407). The bias is the weight of an input 1. Exact for one sample, and for deep
linear networks with squared error (Bernacchia et al., 2018), in the convention that fits how places meet the loss.

**Where a layer has places** (tokens, pixels), ``expand`` takes every place for a sample, which suits losses for each
place; ``reduce`` averages inputs and sums gradients over the places of a sample, which suits losses of pooled features
(Eschenhagen et al., 2023, arXiv:2311.00636, equations 12 and 16).
"""

from typing import Literal

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.structured.block_diagonal import BlockDiagonal
from losscope.operators.structured.build import Make, build
from losscope.operators.structured.parts import KroneckerPart
from losscope.operators.structured.roots import Kind, Roots
from losscope.operators.structured.use import Product

__all__ = ["KFAC"]

LARGEST = 1 << 13

Sharing = Literal["expand", "reduce"]


class KFAC(BlockDiagonal):
    """The K-FAC approximation of an objective's Fisher matrix (without the penalty), at its model's parameters.

    ``kind`` as for ``Fisher``; by default "exact" where a sample has at most 128 outputs, else "mc" with ``draws``
    labels from ``seed``. For a convex loss that is no likelihood it approximates the Gauss-Newton matrix instead.

    What a parameter's block is stands in ``structure``: Kronecker factors for linear layers, convolutions of any
    dimension (strides, dilation, padding, groups, transposed), projections of attention, and embeddings (diagonal over
    the vocabulary); an exact block for what is added or multiplied (normalisation, separate biases, position
    embeddings), up to 1,024 numbers, and its diagonal beyond; a diagonal for a weight that is used in different ways
    (tied embedding and output layer); an estimated diagonal for anything else. A factor with a side above ``largest``
    is kept as its diagonal. Calls of one layer several times count as places.

    Cost: one forward pass and, for each vector (one per output for "exact", per draw for "mc"), a backward pass without
    gradients of weights; d³ for the inverse of a factor of size d. Memory: the factors, and the patches of a
    convolution. Raises ``BadUsage`` where the loss is not convex, or not a function of the model's output alone.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> found = KFAC(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1])))
    >>> found.dense()
    tensor([[1., 0.],
            [0., 4.]], dtype=torch.float64)
    >>> found.structure
    {'weight': 'Kronecker'}
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
        super().__init__(objective, build(objective, roots, kronecker(sharing, largest)))
        self.kind, self.sharing = roots.kind, sharing


def kronecker(sharing: Sharing, largest: int) -> Make:
    """How a layer's factors are made."""
    if sharing not in ("expand", "reduce"):
        raise BadUsage(
            "places are expanded or reduced", seen=repr(sharing), remedy='take "expand" or "reduce"'
        )

    def make(group: list) -> KroneckerPart:
        first = group[0]
        assert isinstance(first, Product)
        return KroneckerPart(first, sharing == "reduce", largest)

    return make
