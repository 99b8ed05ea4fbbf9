"""Σ_samples (Q_oᵀ (Σ_places g aᵀ) Q_i)²: second moments of per-sample gradients, in a basis or entry by entry."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

_MOST = 1 << 23  # numbers of the gradients of samples that are made at once


def second_moments(
    g: Tensor, a: Tensor, outputs: Tensor | None = None, inputs: Tensor | None = None
) -> Tensor:
    """[groups, o, i], for g [groups, n, t, o] and a [groups, n, t, i].

    The bases are [groups, d, d], or ``None`` for unit vectors. Cost: that of one
    gradient by the weight, and of the projections; memory: ``_MOST`` numbers.
    """
    if outputs is not None:
        g = g @ outputs[:, None]
    if inputs is not None:
        a = a @ inputs[:, None]
    if g.shape[2] == 1:
        return g[:, :, 0].square().mT @ a[:, :, 0].square()
    total = g.new_zeros(g.shape[0], g.shape[3], a.shape[3])
    step = max(1, _MOST // total.numel())
    for start in range(0, g.shape[1], step):
        one, other = g[:, start : start + step], a[:, start : start + step]
        total += (one.mT @ other).square().sum(1)
    return total


def hot_second_moments(g: Tensor, a: Tensor, number: int, outputs: Tensor | None = None) -> Tensor:
    """The same for one-hot inputs: g [1, n, t, o], integers a [n, t] below ``number``; [1, o, number]."""
    if outputs is not None:
        g = g @ outputs[:, None]
    n = a.shape[0]
    key = (torch.arange(n, device=a.device)[:, None] * number + a).reshape(-1)
    pairs, place = key.unique(return_inverse=True)  # a token that comes twice in a sample is summed first
    sums = g.new_zeros(len(pairs), g.shape[3]).index_add_(0, place, g.reshape(-1, g.shape[3]))
    total = g.new_zeros(number, g.shape[3]).index_add_(0, pairs % number, sums.square())
    return total.T[None]


def hot_rows(a: Tensor, number: int, like: Tensor) -> Tensor:
    """Integers as one-hot rows [1, …, number]."""
    return one_hot(a, number).to(like.dtype)[None]
