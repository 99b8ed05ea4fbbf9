"""The streaming kernel: losses and gradients in one pass over the classes, three matrix products in all.

A chunk of samples meets the classes block by block. In a block the scores are made by the first product, turned into
E = 2^(z·log₂e - m) in place with a running maximum m (online softmax), summed, and used at once for the gradient of
the input, E W, whose normaliser is applied to its rows afterwards. The gradient of the weights, Eᵀ diag(1/Σ) X, needs
the normaliser first, so it follows when the chunk is through; the normaliser, and what later blocks did to the
maximum, are applied to X, not to E. Everything else that the loss asks for is of rank one or a row per sample: the
label subtracts a row, label smoothing the vector Wᵀw, the z-loss is a factor per row.

Between the products a score is touched twice: 2^x (half the cost of exp), and the sum. The maximum and its subtraction
are needed for scores that are far from 0 only: if the maxima of the first block lie within ±2⁶, m is 0 from there on,
until a row's sum over a block exceeds 2¹⁰⁰ and that block is made again with a maximum. On other devices than the CPU,
where such a look at the data would wait for the device, the maximum is always taken.

Online softmax: Milakov and Gimelshein, arXiv:1805.02867. Gradients in the forward pass: Hsu et al., arXiv:2410.10989;
blocks of classes: Wijmans et al., arXiv:2411.09009.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from losscope.losses.large_output.head import LOG2_E, Head, waits_for_data

LN_2 = math.log(2)
_NEAR, _HUGE = 64.0, 2.0**100


class Needs(NamedTuple):
    """Which gradients are wanted."""

    input: bool = False
    weight: bool = False
    bias: bool = False


class Gradients(NamedTuple):
    """By input [n, D], weight [V, D] and bias [V]; ``None`` where not wanted."""

    input: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None


class OnlineSoftmax:
    """Running reference ``peak`` (the maximum, or 0) and sum ``total`` = Σ 2^(z - peak) of rows, [k, 1] each."""

    def __init__(self, like: Tensor) -> None:
        # Finite, so that scores of -∞ (classes that are masked out) give 0 and not ∞ - ∞.
        self.peak = like.new_full((like.shape[0], 1), torch.finfo(like.dtype).min / 4)
        self.total = torch.zeros_like(self.peak)
        self.begun = self.unshifted = False

    def centre_(self, z: Tensor) -> Tensor:
        """Subtract the new maximum from a block in place; returns the step of the maximum, ≤ 0."""
        peak = torch.maximum(self.peak, z.amax(1, keepdim=True))
        z.sub_(peak)
        step = self.peak - peak
        self.peak = peak
        return step

    def absorb_(self, z: Tensor) -> Tensor:
        """Turn a block of scores into 2^(z - peak) in place; returns by what earlier results must be multiplied."""
        shrink = self.centre_(z).exp2_()
        self.total = self.total * shrink + z.exp2_().sum(1, keepdim=True)
        return shrink

    def absorb_unshifted_(self, z: Tensor) -> bool:
        """The same with a reference of 0; tells whether that went well. If not, ``z`` is spoilt, nothing is added."""
        more = z.exp2_().sum(1, keepdim=True)
        if not bool((more < _HUGE).all()):
            self.unshifted = False
            return False
        self.total = self.total + more
        return True

    def rebase(self) -> Tensor | None:
        """After the first block: take 0 for the reference if that is near. Returns a factor as ``absorb_``."""
        if self.begun or not waits_for_data(self.peak):
            return None
        self.begun = True
        if not bool((self.peak.abs() <= _NEAR).all()):
            return None
        factor, self.peak, self.unshifted = self.peak.exp2(), torch.zeros_like(self.peak), True
        self.total = self.total * factor
        return factor

    def surprise(self, z: Tensor) -> Tensor:
        """log₂ Σ 2^z' - z of one of the scores, in bits, ≥ 0.

        The whole part of log₂ Σ is split off, since that meets z first: the surprise of a sure label is tiny.
        """
        whole = self.total.log2().round()
        return ((self.total * (-whole).exp2()).log2() + (whole + (self.peak - z))).clamp_min(0.0)


def product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """``a`` times ``b`` in their own precision, summed up in and given as ``dtype``."""
    return torch.mm(a, b, out_dtype=dtype) if a.is_cuda else a.to(dtype) @ b.to(dtype)


def add_product_(into: Tensor, a: Tensor, b: Tensor, *, fresh: bool = False) -> None:
    """Add ``a`` times ``b`` in place, or put it there."""
    if a.dtype == into.dtype:
        into.addmm_(a, b, beta=0 if fresh else 1)
    elif fresh:
        into.copy_(product(a, b, into.dtype))
    else:
        into.add_(product(a, b, into.dtype))


def scores_(z: Tensor, scaled: Tensor, weight: Tensor, bias: Tensor | None, factor: float) -> Tensor:
    """Fill ``z`` [k, v] with ``factor``·(Wx + b), where ``scaled`` is ``factor``·x."""
    if bias is None:
        return torch.mm(scaled, weight.t(), out=z)
    return torch.addmm(bias * factor, scaled, weight.t(), out=z)


def capped_(z: Tensor, softcap: float) -> Tensor:
    """From z/c to c·tanh(z/c)·log₂e in place; returns the slope 1 - tanh²."""
    z.tanh_()
    slope = z.square().neg_().add_(1)
    z.mul_(softcap * LOG2_E)
    return slope


def pick(block: Tensor, local: Tensor, into: Tensor) -> Tensor:
    """``into`` [k, 1], with the entry at column ``local`` [k, 1] for rows whose column lies in this block."""
    inside = (local >= 0) & (local < block.shape[1])
    return torch.where(inside, block.gather(1, local.clamp(0, block.shape[1] - 1)), into)


@dataclass(slots=True)
class _Chunk:
    """What is known of a chunk of samples while the classes pass by."""

    x: Tensor
    target: Tensor
    softmax: OnlineSoftmax
    label: Tensor  # score of the label, in units of log₂
    label_slope: Tensor  # derivative of the soft cap there
    mean_score: Tensor  # Σ_v w_v z_v
    by_uniform: Tensor  # gradient of label smoothing by the input, under a soft cap


class _Pass:
    """One pass over a head. ``scale`` [n, 1] multiplies the gradient of each sample's loss."""

    def __init__(self, head: Head, scale: Tensor | None, needs: Needs) -> None:
        self.head, self.scale, self.needs = head, scale, needs
        n, d, v = *head.input.shape, head.classes
        self.smoothing, self.softcap = head.settings.label_smoothing, head.settings.softcap
        self.dense = self.smoothing > 0 and self.softcap is not None
        self.factor = LOG2_E if self.softcap is None else 1 / self.softcap

        def new(shape: tuple[int, ...], *, zero: bool = True) -> Tensor:
            return (torch.zeros if zero else torch.empty)(shape, dtype=head.dtype, device=head.input.device)

        self.by_input = new((n, d)) if needs.input else None
        # The first chunk overwrites the gradient of the weights, which saves clearing it.
        self.fresh = n > 0 and not self.dense
        self.by_weight = new((v, d), zero=not self.fresh) if needs.weight else None
        self.by_bias = new((v,)) if needs.bias else None
        self.keeps = needs.weight or needs.bias
        self.low = None if self.dense else head.low_precision
        width = 0 if self.low else v if self.keeps else head.columns
        self.buffer = new((head.rows * width,), zero=False)
        self.losses = new((n, 1))
        self.pull, self.pull_bias = (
            self.smoothing_vector() if self.smoothing and not self.dense else (None, 0.0)
        )
        self.weighted_inputs = new((d,))

    def smoothing_vector(self) -> tuple[Tensor, Tensor | float]:
        """Wᵀw and b·w: with these Σ_v w_v z_v is one product per sample."""
        head = self.head
        pull, pull_bias = head.share.new_zeros(head.input.shape[1]), 0.0
        for block in head.blocks():
            w, b = head.part(block)
            pull.addmv_(w.t(), head.weights_of(block))
            pull_bias = pull_bias if b is None else pull_bias + b @ head.weights_of(block)
        return pull, pull_bias

    def run(self) -> None:
        for rows in self.head.chunks():
            self.chunk(rows)
            self.fresh = False
        if self.pull is not None:
            self.subtract_uniform()

    def chunk(self, rows: slice) -> None:
        head = self.head
        x = head.input[rows].to(head.dtype)
        zero = x.new_zeros(x.shape[0], 1)
        chunk = _Chunk(
            x,
            head.target[rows, None],
            OnlineSoftmax(x),
            zero,
            torch.ones_like(zero),
            zero,
            torch.zeros_like(x),
        )
        scaled = head.input[rows] if self.low else x * self.factor
        blocks = [self.block(chunk, rows, block, scaled) for block in head.blocks()]
        weight = self.finish_losses(chunk, rows)
        if self.scale is None:
            return
        scale = self.scale[rows]
        weight = scale * weight / chunk.softmax.total
        if self.by_input is not None:
            self.by_input[rows].mul_(weight)
        if self.keeps:
            last: Tensor | None = None
            factor, weighted = weight, scaled
            for block, z, peak in blocks:
                if peak is not last:  # without a running maximum it is the same for all blocks but the first
                    factor, last = (peak - chunk.softmax.peak).exp2_().mul_(weight), peak
                    weighted = (x * factor).to(z.dtype)
                self.to_weights(block, z, weighted, factor)
        self.subtract_label(chunk, rows, scale)

    def block(self, chunk: _Chunk, rows: slice, block: slice, scaled: Tensor) -> tuple[slice, Tensor, Tensor]:
        """Scores of one block, from the first product to the gradient of the input."""
        w, b = (self.head.weight[block], self.head.part(block)[1]) if self.low else self.head.part(block)
        z, slope = self.scores(block, scaled, w, b)
        local = chunk.target - block.start
        chunk.label = pick(z, local, chunk.label)
        if slope is not None:
            chunk.label_slope = pick(slope, local, chunk.label_slope)
            if self.dense:
                chunk.mean_score = chunk.mean_score + (z @ self.head.weights_of(block))[:, None]
        softmax, shrink = chunk.softmax, None
        if not softmax.unshifted:
            shrink = softmax.absorb_(z)
        elif not softmax.absorb_unshifted_(z):
            z, slope = self.scores(block, scaled, w, b)
            shrink = softmax.absorb_(z)
        peak, factor = softmax.peak, softmax.rebase()
        if self.scale is not None:
            if slope is not None:
                z.mul_(slope)
            z = z if self.low is None else z.to(self.low)
            if self.by_input is not None:
                sums = self.by_input[rows]
                add_product_(sums if shrink is None else sums.mul_(shrink), z, w)
                if factor is not None:
                    sums.mul_(factor)
            if self.dense and slope is not None:
                self.subtract_uniform_capped(chunk, rows, block, w, slope)
        return block, z, peak

    def scores(
        self, block: slice, scaled: Tensor, w: Tensor, b: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Scores times log₂e in their place of the buffer, and the slope of the soft cap."""
        k, v = scaled.shape[0], w.shape[0]
        if self.low:
            z = product(scaled, w.t(), self.head.dtype).mul_(self.factor)
            z = z if b is None else z.add_(b, alpha=self.factor)
            return z, None if self.softcap is None else capped_(z, self.softcap)
        start = k * block.start if self.keeps else 0
        z = scores_(self.buffer[start : start + k * v].view(k, v), scaled, w, b, self.factor)
        return z, None if self.softcap is None else capped_(z, self.softcap)

    def finish_losses(self, chunk: _Chunk, rows: slice) -> Tensor:
        """Write the losses of a chunk; returns what multiplies the softmax in their gradients, [k, 1]."""
        head, share = self.head, self.head.share[rows]
        likely = (1 - self.smoothing) * share
        losses = likely * chunk.softmax.surprise(chunk.label) * LN_2
        lse = (chunk.softmax.peak + chunk.softmax.total.log2()) * LN_2
        weight = likely
        if self.smoothing:
            if self.pull is None:
                mean_score = chunk.mean_score * LN_2
            else:
                mean_score = (chunk.x @ self.pull)[:, None] + self.pull_bias
            losses = losses + head.uniform * (head.total_weight() * lse - mean_score)
            weight = weight + head.uniform * head.total_weight()
        if head.settings.z_loss:
            losses = losses + head.settings.z_loss * share * lse.square()
            weight = weight + 2 * head.settings.z_loss * share * lse
        self.losses[rows] = losses
        return weight

    def to_weights(self, block: slice, z: Tensor, weighted: Tensor, factor: Tensor) -> None:
        if self.by_weight is not None:
            add_product_(self.by_weight[block], z.t(), weighted, fresh=self.fresh)
        if self.by_bias is not None:
            add_product_(self.by_bias[block, None], z.t(), factor.to(z.dtype))

    def subtract_label(self, chunk: _Chunk, rows: slice, scale: Tensor) -> None:
        head, y = self.head, chunk.target[:, 0]
        hit = (1 - self.smoothing) * head.share[rows] * scale * chunk.label_slope
        if self.by_input is not None:
            self.by_input[rows].sub_(head.weight.index_select(0, y).to(head.dtype).mul_(hit))
            if self.pull is not None:
                self.by_input[rows].sub_(scale * (head.uniform * self.pull))
            elif self.dense:
                self.by_input[rows].add_(chunk.by_uniform.mul_(scale))
        if self.by_weight is not None:
            self.by_weight.index_add_(0, y, chunk.x * -hit)
            if self.pull is not None:
                self.weighted_inputs.addmv_(chunk.x.t(), scale[:, 0])
        if self.by_bias is not None:
            self.by_bias.index_add_(0, y, -hit[:, 0])

    def subtract_uniform(self) -> None:
        """Label smoothing in the gradients of weight and bias: rank one."""
        head, everything = self.head, slice(0, self.head.classes)
        if self.scale is None:
            return
        if self.by_weight is not None:
            self.by_weight.addr_(head.weights_of(everything), self.weighted_inputs, alpha=-head.uniform)
        if self.by_bias is not None:
            self.by_bias.sub_(head.weights_of(everything) * (head.uniform * self.scale.sum()))

    def subtract_uniform_capped(
        self, chunk: _Chunk, rows: slice, block: slice, w: Tensor, slope: Tensor
    ) -> None:
        """The same under a soft cap, whose slope differs for every score: two more products."""
        if self.scale is None:
            return
        slope.mul_(self.head.weights_of(block) * -self.head.uniform)
        if self.needs.input:
            chunk.by_uniform.addmm_(slope, w)
        if self.by_weight is not None:
            self.by_weight[block].addmm_(slope.t(), chunk.x * self.scale[rows])
        if self.by_bias is not None:
            self.by_bias[block].addmv_(slope.t(), self.scale[rows, 0])


def losses_and_gradients(head: Head, scale: Tensor | None, needs: Needs) -> tuple[Tensor, Gradients]:
    """Loss of every sample that counts, [n], and the gradients of Σ_i scale_i·loss_i (none without ``scale``).

    Cost: 2·n·V·D operations for the losses, three times that with both gradients. Memory: the gradients, and
    ``head.rows``·V scores (``head.rows``·``head.columns`` without the gradient of the weights).
    """
    if scale is None:
        needs = Needs()
    else:
        scale = head.per_sample(scale)
    streaming = _Pass(head, scale, needs)
    streaming.run()
    return head.counted(streaming.losses[:, 0]), Gradients(
        streaming.by_input, streaming.by_weight, streaming.by_bias
    )
