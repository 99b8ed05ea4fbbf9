"""An output layer with its targets and options: what the streaming kernels work on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.reduction import full_precision

LOG2_E = 1 / math.log(2)

_BLOCK_BYTES = 1 << 23
"""Scores of one block. It is worked on several times at once, so it should stay in the last cache."""
_LEAST_COLUMNS = 512
_BLOCK_BYTES_ELSEWHERE, _CHUNK_BYTES_ELSEWHERE = 1 << 28, 1 << 30
"""On an accelerator a block is made by few large kernels, and a chunk is as long as memory permits."""


class Settings(NamedTuple):
    """The options of a linear cross-entropy that are plain numbers."""

    label_smoothing: float = 0.0
    ignore_index: int = -100
    z_loss: float = 0.0
    softcap: float | None = None
    reduction: str = "mean"
    chunk_rows: int | None = None


class Batch(NamedTuple):
    """What is given: ``input`` [N, D], ``weight`` [V, D], ``bias`` and ``class_weight`` [V], ``target`` [N]."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    class_weight: Tensor | None
    target: Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """The samples that count, and the layer that scores them: z = Wx + b, soft-capped to c·tanh(z/c).

    ``input`` [n, D], ``target`` [n] and ``share`` [n, 1] (the class weight of each target) hold the samples left by
    ``ignore_index``; ``kept`` are their positions among all ``count`` samples, ``None`` for all. ``class_weight`` [V].
    Finding the positions waits for the data, so that on an accelerator all samples stay, the ones that do not count as
    zeros, and ``counts`` [n, 1] tells them apart. All arithmetic is in ``dtype``.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    target: Tensor
    class_weight: Tensor | None
    share: Tensor
    kept: Tensor | None
    counts: Tensor | None
    count: int
    settings: Settings
    dtype: torch.dtype

    @property
    def classes(self) -> int:
        return self.weight.shape[0]

    @property
    def uniform(self) -> float:
        """ε/V: what label smoothing gives to every class."""
        return self.settings.label_smoothing / self.classes

    @property
    def rows(self) -> int:
        """Samples per chunk.

        A chunk reads and writes the gradient of the weights once (V·D) and its own scores once (rows·V): beyond
        rows ≈ 2D there is little to gain but memory to lose. Chunks are of nearly equal length.
        """
        n = max(1, self.input.shape[0])
        if waits_for_data(self.input):
            most = min(max(256, 2 * self.input.shape[1]), 1024)
        else:
            most = max(256, _CHUNK_BYTES_ELSEWHERE // (self.dtype.itemsize * self.classes))
        most = self.settings.chunk_rows or most
        return math.ceil(n / math.ceil(n / most))

    @property
    def columns(self) -> int:
        """Classes per block of a chunk, so that a block of scores fits into ``_BLOCK_BYTES``."""
        size = _BLOCK_BYTES if waits_for_data(self.input) else _BLOCK_BYTES_ELSEWHERE
        fits = size // (self.dtype.itemsize * self.rows)
        return min(max(_LEAST_COLUMNS, fits // 256 * 256), max(1, self.classes))

    @property
    def low_precision(self) -> torch.dtype | None:
        """In which the products are made, with results in ``dtype``: bfloat16 where the device has units for it."""
        alike = self.input.dtype == self.weight.dtype == torch.bfloat16
        return torch.bfloat16 if alike and has_fast_bfloat16(self.input) else None

    def chunks(self, rows: int = 0) -> Iterator[slice]:
        return _pieces(self.input.shape[0], rows or self.rows)

    def blocks(self) -> Iterator[slice]:
        return _pieces(self.classes, self.columns)

    def part(self, block: slice) -> tuple[Tensor, Tensor | None]:
        """Weights and bias of a block of classes, in ``dtype``."""
        bias = None if self.bias is None else self.bias[block].to(self.dtype)
        return self.weight[block].to(self.dtype), bias

    def weights_of(self, block: slice) -> Tensor:
        """[v]: class weights of a block of classes."""
        if self.class_weight is not None:
            return self.class_weight[block]
        return self.share.new_ones(len(range(*block.indices(self.classes))))

    def total_weight(self) -> Tensor | float:
        """Σ_v w_v."""
        return float(self.classes) if self.class_weight is None else self.class_weight.sum()

    def scale(self) -> Tensor:
        """By what the reduction multiplies the loss of a sample; 0 for a mean over nothing."""
        if self.settings.reduction != "mean":
            return self.share.new_ones(())
        total = self.share.sum()
        return torch.where(total == 0, 0.0, 1 / total)

    def spread(self, rows: Tensor) -> Tensor:
        """Back from the samples that count to all of them, 0 elsewhere."""
        if self.kept is None:
            return self.counted(rows)
        return rows.new_zeros(self.count, *rows.shape[1:]).index_copy_(0, self.kept, rows)

    def gather(self, rows: Tensor) -> Tensor:
        """The samples that count, in ``dtype``."""
        return (self.counted(rows) if self.kept is None else rows.index_select(0, self.kept)).to(self.dtype)

    def counted(self, rows: Tensor) -> Tensor:
        """``rows`` [n, ...], with zeros for the samples that do not count."""
        if self.counts is None:
            return rows
        return torch.where(self.counts.reshape(-1, *(1 for _ in rows.shape[1:])), rows, 0.0)

    def per_sample(self, scale: Tensor) -> Tensor:
        """``scale`` [n] or a scalar as what multiplies each sample's loss, [n, 1]."""
        return self.counted(scale.to(self.dtype).expand(self.input.shape[0])[:, None])


def _pieces(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def check(batch: Batch, settings: Settings) -> None:
    """Refuse shapes, types and options that make no sense. ``input`` may have more axes here."""
    input, weight, bias, class_weight, target = batch
    fits = input.dim() >= 1 and weight.dim() == 2 and input.shape[-1] == weight.shape[1]
    if not fits or weight.shape[0] == 0:
        raise BadUsage(
            "input and weight do not fit together",
            seen=f"{tuple(input.shape)} and {tuple(weight.shape)}",
            remedy="give input [*, D] and weight [V, D]",
        )
    if target.shape != input.shape[:-1] or target.is_floating_point() or target.dtype == torch.bool:
        raise BadUsage(
            "target must be one class index per sample",
            seen=f"{tuple(target.shape)} {target.dtype} for input {tuple(input.shape)}",
            remedy="give integers of the shape of input without its last axis",
        )
    for name, vector in (("bias", bias), ("class_weight", class_weight)):
        if vector is not None and vector.shape != weight.shape[:1]:
            raise BadUsage(
                f"{name} must have one entry per class",
                seen=f"{tuple(vector.shape)} for {weight.shape[0]} classes",
            )
    if class_weight is not None and class_weight.requires_grad:
        raise BadUsage("class weights are not differentiated", remedy="detach them")
    if settings.reduction not in ("none", "mean", "sum"):
        raise BadUsage(
            "unknown reduction", seen=repr(settings.reduction), remedy="use 'none', 'mean' or 'sum'"
        )
    for name, fine in (
        ("label_smoothing", 0 <= settings.label_smoothing <= 1),
        ("z_loss", settings.z_loss >= 0),
        ("softcap", settings.softcap is None or settings.softcap > 0),
        ("chunk_rows", settings.chunk_rows is None or settings.chunk_rows > 0),
    ):
        if not fine:
            raise BadUsage(f"{name} is out of its range", seen=repr(getattr(settings, name)))


def make_head(batch: Batch, settings: Settings) -> Head:
    """Leave out the samples that do not count and refuse targets that are no class (on an accelerator by an
    assertion of the device, as torch does: looking at the targets would wait for it)."""
    input, weight, bias, class_weight, target = batch
    classes, count = weight.shape[0], target.shape[0]
    kept = target != settings.ignore_index
    wrong = kept & ((target < 0) | (target >= classes))
    waits = waits_for_data(target)
    if not waits:
        told = f"linear_cross_entropy: a target is no class of 0 … {classes - 1}"
        torch._assert_async(~wrong.any(), told)  # pyright: ignore[reportPrivateImportUsage]
    elif bool(wrong.any()):
        raise BadUsage(
            "a target is no class",
            seen=f"{int(target[wrong][0])} with {classes} classes",
            remedy=f"use 0 … {classes - 1}, or ignore_index ({settings.ignore_index}) for samples without a label",
        )
    dtype = full_precision(input.new_empty(0, dtype=torch.promote_types(input.dtype, weight.dtype)))[0].dtype
    weights = None if class_weight is None else class_weight.to(dtype)
    if weights is not None and settings.label_smoothing == 0:
        kept = kept & (weights[target.clamp(0, classes - 1)] != 0)
    if not waits:
        input, target = torch.where(kept[:, None], input, 0.0), torch.where(kept, target, 0)
        share = kept.to(dtype) if weights is None else torch.where(kept, weights[target], 0.0)
        return Head(
            input, weight, bias, target, weights, share[:, None], None, kept[:, None], count, settings, dtype
        )
    index = None if bool(kept.all()) else kept.nonzero()[:, 0]
    if index is not None:
        input, target = input.index_select(0, index), target.index_select(0, index)
    share = input.new_ones(target.shape[0], dtype=dtype) if weights is None else weights[target]
    return Head(input, weight, bias, target, weights, share[:, None], index, None, count, settings, dtype)


def has_fast_bfloat16(tensor: Tensor) -> bool:
    """Whether products of bfloat16 are faster where ``tensor`` is, and can give float32."""
    return tensor.is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)


def waits_for_data(tensor: Tensor) -> bool:
    """Whether it is free to look at values, as on a CPU; elsewhere the host would wait for the device."""
    return tensor.device.type == "cpu"
