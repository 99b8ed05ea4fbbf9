"""The Lovász extension of the Jaccard loss, which both Lovász losses evaluate at their errors."""

import torch
from torch import Tensor


def lovasz_extension(errors: Tensor, foreground: Tensor, kept: Tensor) -> Tensor:
    """Σ_k e_(k) · (Δ(k) - Δ(k-1)) over the last axis, with errors in falling order.

    ``errors`` ≥ 0 [..., P], ``foreground`` 0 or 1 [..., P], ``kept`` which pixels count. Δ(k) is the Jaccard loss if
    the k pixels of the largest errors were wrong and all others right; without foreground, Δ(k) = 1. Among equal errors
    foreground comes first, and pixels of equal error and label share their weights equally: the gradient, one of the
    subgradients, depends on nothing that the order of pixels decides. Berman et al., arXiv:1705.08790, alg. 1.
    """
    errors = errors.masked_fill(~kept, 0.0)
    key = errors.detach().masked_fill(~kept, -1.0)  # what is ignored comes last
    by_label = foreground.sort(dim=-1, descending=True, stable=True).indices
    by_error = key.gather(-1, by_label).sort(dim=-1, descending=True, stable=True).indices
    order = by_label.gather(-1, by_error)
    t, key = foreground.gather(-1, order), key.gather(-1, order)
    total = t.sum(-1, keepdim=True)
    jaccard = 1 - (total - t.cumsum(-1)) / (total + (1 - t).cumsum(-1))
    weight = jaccard.diff(dim=-1, prepend=torch.zeros_like(total))
    new = (key[..., 1:] != key[..., :-1]) | (t[..., 1:] != t[..., :-1])
    group = torch.cat([torch.zeros_like(key[..., :1]), new.to(key.dtype)], -1).cumsum(-1).long()
    members = torch.zeros_like(weight).scatter_add(-1, group, torch.ones_like(weight))
    shared = torch.zeros_like(weight).scatter_add(-1, group, weight) / members.clamp(min=1.0)
    return (errors.gather(-1, order) * shared.gather(-1, group)).sum(-1)
