"""Per-sample gradients of one parameter in factors: Σ_t left_it ⊗ right_it over the places t of sample i.

Squared norms and scalar products of per-sample gradients need the factors alone (Goodfellow, 2015, arXiv:1510.01799;
for sequences, with T places, the cheaper of T² (p + q) and T p q).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.operators.likelihood import signs
from losscope.operators.structured.use import Layout


class Sums:
    """A parameter that is added or multiplied: the gradients themselves, ``left`` [n, p]."""

    right = None

    def __init__(self, left: Tensor) -> None:
        self.left = left

    def dense(self) -> Tensor:
        """[n, p]."""
        return self.left

    def at(self, samples: Sequence[int]) -> "Sums":
        """Those of some samples."""
        return Sums(self.left[samples])

    def squares(self) -> Tensor:
        """Squared norms, [n]."""
        return self.left.square().sum(1)

    def along(self, random: torch.Generator) -> Tensor:
        """Σ_i ⟨gradient of sample i, α_i⟩ with random signs α."""
        return (self.left * signs(self.left, random)).sum()


class Outer:
    """A weight in a product. ``left`` [groups, n, t, p] are gradients of outputs, ``right`` [groups, n, t, q] inputs.

    The weight holds [groups, p, q]; ``flipped``: [groups, q, p].
    """

    def __init__(self, left: Tensor, right: Tensor, flipped: bool = False) -> None:
        self.left, self.right, self.flipped = left, right, flipped

    def dense(self) -> Tensor:
        """The gradients themselves, [n, groups·p·q], in the order of the weight."""
        groups, n = self.left.shape[:2]
        left, right = self.left.flatten(0, 1), self.right.flatten(0, 1)
        made = torch.bmm(right.mT, left) if self.flipped else torch.bmm(left.mT, right)
        return made.view(groups, n, -1).transpose(0, 1).flatten(1)

    def at(self, samples: Sequence[int]) -> "Outer":
        """Those of some samples."""
        return Outer(self.left[:, samples], self.right[:, samples], self.flipped)

    def squares(self) -> Tensor:
        """Squared norms, [n]."""
        (_, _, t, p), q = self.left.shape, self.right.shape[3]
        if t * (p + q) > p * q:
            return self.dense().square().sum(1)
        one = self.left @ self.left.mT
        return (one * (self.right @ self.right.mT)).sum((0, 2, 3))

    def along(self, random: torch.Generator) -> Tensor:
        """Σ_i ⟨gradient of sample i, α_i ⊗ β_i⟩ with random signs α, β."""
        one = torch.einsum("ontp,onp->ont", self.left, signs(self.left[:, :, 0], random))
        return (one * torch.einsum("ontq,onq->ont", self.right, signs(self.right[:, :, 0], random))).sum()


class HotOuter:
    """The same for inputs that are one-hot, ``right`` [n, t] integers below ``number``: the weight of an embedding."""

    def __init__(self, left: Tensor, right: Tensor, layout: Layout) -> None:
        self.left, self.right, self.layout = left[0], right, layout

    def dense(self) -> Tensor:
        """[n, number·p], in the order of the weight."""
        n, _, p = self.left.shape
        made = self.left.new_zeros(n, self.layout.inputs, p)
        made = made.scatter_add(1, self.right[:, :, None].expand_as(self.left), self.left)
        return (made if self.layout.flipped else made.mT).flatten(1)

    def at(self, samples: Sequence[int]) -> "HotOuter":
        """Those of some samples."""
        return HotOuter(self.left[None, samples], self.right[samples], self.layout)

    def squares(self) -> Tensor:
        """Squared norms, [n]: what comes twice in a sample is summed first."""
        n, _, p = self.left.shape
        rows = torch.arange(n, device=self.right.device)[:, None]
        keys, place = (rows * self.layout.inputs + self.right).reshape(-1).unique(return_inverse=True)
        sums = self.left.new_zeros(len(keys), p).index_add(0, place, self.left.reshape(-1, p))
        return self.left.new_zeros(n).index_add(0, keys // self.layout.inputs, sums.square().sum(1))

    def along(self, random: torch.Generator) -> Tensor:
        """Σ_i ⟨gradient of sample i, α_i ⊗ β_i⟩ with random signs α, β."""
        n = len(self.left)
        one = torch.einsum("ntp,np->nt", self.left, signs(self.left[:, 0], random))
        drawn = signs(self.left.new_empty(n, self.layout.inputs), random)
        return (one * drawn.gather(1, self.right)).sum()


Factors = Sums | Outer | HotOuter
