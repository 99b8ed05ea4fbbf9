"""Second derivatives of the linear cross-entropy along one direction, and third ones, chunk by chunk.

With scores a = Wx + b, z = c·tanh(a/c) and the loss ℓ = A·lse(z) - t·z + ζ·lse(z)² of a sample (t the smoothed target
with weights, A = Σt), and dots for derivatives along a direction (ẋ, Ẇ, ḃ):

    ȧ = Wẋ + Ẇx + ḃ,  ż = s∘ȧ with s = 1 - tanh²,  lsė = p·ż
    g = (A + 2ζ lse) p - t,  ġ = (A + 2ζ lse) p∘(ż - lsė) + 2ζ lsė p
    ℓ̇ = g·ż,  H(ẋ, Ẇ, ḃ) = (W'(s∘g)˙ + Ẇ'(s∘g), (s∘g)˙ x' + (s∘g) ẋ', Σ (s∘g)˙)

which is Pearlmutter's R-operator (doi:10.1162/neco.1994.6.1.147). Second derivatives are asked for rarely, so that
this is written for clarity: seven products, and a handful of [chunk, V] tensors at a time. Third derivatives, which
the double-backward trick of ``torch.autograd.functional.hvp`` needs, are autograd's through these lines.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.losses.large_output.head import Head
from losscope.losses.large_output.streaming import Gradients

_TENSORS = 8  # of the size of a chunk's scores, alive at once


class Curvature(NamedTuple):
    """ℓ̇ of every sample that counts, [n], and H times the direction: by input [n, D], weight and bias."""

    losses: Tensor
    input: Tensor
    weight: Tensor
    bias: Tensor


class _Place(NamedTuple):
    """Where, and in which direction, a chunk is looked at."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    scale: Tensor
    along_x: Tensor | None
    along_weight: Tensor | None
    along_bias: Tensor | None


def curvature(head: Head, scale: Tensor, direction: Gradients) -> Curvature:
    """Of Σ_i scale_i·loss_i. ``direction`` has the shapes of a gradient; ``None`` stands for zeros."""
    pieces = [_curvature(head, rows, place) for rows, place in _places(head, scale, direction)]
    if not pieces:
        nothing, none = (
            head.weight.new_zeros((0, *head.weight.shape[1:]), dtype=head.dtype),
            head.weight.to(head.dtype),
        )
        return Curvature(head.share[:, 0], nothing, torch.zeros_like(none), torch.zeros_like(none[:, 0]))
    losses, by_input, by_weight, by_bias = zip(*pieces, strict=True)
    return Curvature(torch.cat(losses), torch.cat(by_input), _sum(by_weight), _sum(by_bias))


def curvature_gradient(
    head: Head, scale: Tensor, direction: Gradients, by_curvature: Sequence[Tensor | None]
) -> tuple[Tensor, Gradients, Gradients]:
    """Gradients of Σ ``by_curvature``·curvature by ``scale`` [n], by the layer and its input, and by the direction."""
    rows_of = (True, False, False, True, True, False, False)  # which parts of a place are of a chunk only
    sums: list[list[Tensor]] = [[] for _ in rows_of]
    by_losses, by_input, by_weight, by_bias = by_curvature
    for rows, place in _places(head, scale, direction):
        leaves = [None if t is None else t.detach().requires_grad_() for t in place]
        with torch.enable_grad():
            outputs = _curvature(head, rows, _Place(*leaves))  # type: ignore[arg-type]
        seeds = (
            None if by_losses is None else by_losses[rows],
            None if by_input is None else by_input[rows],
            by_weight,
            by_bias,
        )
        used = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if seed is not None]
        present = [leaf for leaf in leaves if leaf is not None]
        found = iter(
            torch.autograd.grad([o for o, _ in used], present, [s for _, s in used], materialize_grads=True)
        )
        for parts, leaf in zip(sums, leaves, strict=True):
            if leaf is not None:
                parts.append(next(found))
    x, weight, bias, by_scale, *along = (
        None if not parts else torch.cat(parts) if chunked else _sum(parts)
        for parts, chunked in zip(sums, rows_of, strict=True)
    )
    by_scale = scale.new_zeros(0) if by_scale is None else head.counted(by_scale[:, 0])
    return by_scale, Gradients(x, weight, bias), Gradients(*along)


def _places(head: Head, scale: Tensor, direction: Gradients) -> list[tuple[slice, _Place]]:
    scale = head.per_sample(scale)
    weight, bias = head.part(slice(0, head.classes))
    along_x, along_weight, along_bias = (None if t is None else t.to(head.dtype) for t in direction)
    return [
        (
            rows,
            _Place(
                head.input[rows].to(head.dtype),
                weight,
                bias,
                scale[rows],
                None if along_x is None else along_x[rows],
                along_weight,
                along_bias,
            ),
        )
        for rows in head.chunks(max(1, head.rows // _TENSORS))
    ]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _curvature(head: Head, rows: slice, place: _Place) -> Curvature:
    """Of one chunk. Only operations that autograd and vmap can follow."""
    x, weight, bias, scale, along_x, along_weight, along_bias = place
    along = x.new_zeros(x.shape[0], head.classes)
    if along_x is not None:
        along = along + along_x @ weight.mT
    if along_weight is not None:
        along = along + x @ along_weight.mT
    if along_bias is not None:
        along = along + along_bias
    losses, g, g_along = _by_scores(head, rows, F.linear(x, weight, bias), along)
    g, g_along = scale * g, scale * g_along
    by_input, by_weight = g_along @ weight, g_along.mT @ x
    if along_weight is not None:
        by_input = by_input + g @ along_weight
    if along_x is not None:
        by_weight = by_weight + g.mT @ along_x
    return Curvature(losses, by_input, by_weight, g_along.sum(-2))


def _by_scores(head: Head, rows: slice, a: Tensor, a_along: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ℓ̇ [k], and s∘g and its derivative [k, V]."""
    softcap, share, uniform = head.settings.softcap, head.share[rows], head.uniform
    h = None if softcap is None else (a / softcap).tanh()
    slope = None if h is None else 1 - h * h
    z = a if h is None or softcap is None else softcap * h
    along = a_along if slope is None else slope * a_along
    likely = (1 - head.settings.label_smoothing) * share
    target = (uniform * head.weights_of(slice(0, head.classes))).expand(z.shape)
    target = target.scatter_add(1, head.target[rows, None], likely)
    lse, p = z.logsumexp(1, keepdim=True), z.softmax(1)
    lse_along = (p * along).sum(-1, keepdim=True)
    z_loss = 2 * head.settings.z_loss * share
    weight = likely + uniform * head.total_weight() + z_loss * lse
    g = weight * p - target
    g_along = weight * p * (along - lse_along) + z_loss * lse_along * p
    losses = (g * along).sum(-1)
    if h is not None and slope is not None and softcap is not None:
        g, g_along = slope * g, slope * g_along - (2 / softcap) * h * along * g
    return losses, g, g_along
