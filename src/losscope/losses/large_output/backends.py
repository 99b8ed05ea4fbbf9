"""Other implementations of the linear cross-entropy, called by name.

| ``backend`` | package | what it takes |
| --- | --- | --- |
| ``"losscope"`` | this one | everything; the only one with second derivatives, z-loss or a soft cap on a CPU |
| ``"torch"`` | torch ≥ 2.13, chunked | no soft cap, z-loss or label smoothing; first derivatives only |
| ``"liger"`` | ``liger-kernel`` (Triton) | everything but class weights together with a z-loss; CUDA |
| ``"cce"`` | ``cut-cross-entropy`` (Triton) | no bias, class weights, z-loss or label smoothing; CUDA |

An option that a backend cannot take raises; nothing is dropped silently, and nothing is chosen automatically. What is
said of targets out of range, of batches in which nothing counts and of rows with NaN holds for ``"losscope"`` only.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.large_output.head import Batch, Settings

Backend = Callable[[Batch, Settings], Tensor]


def run_elsewhere(backend: str, batch: Batch, settings: Settings) -> Tensor:
    """The loss by the backend of this name, scalar or [N]. Raises ``BadUsage`` where it is unknown, not installed, or
    cannot take an option."""
    if backend not in BACKENDS:
        raise BadUsage("unknown backend", seen=repr(backend), remedy=f"use losscope, {', '.join(BACKENDS)}")
    return BACKENDS[backend](batch, settings)


def _refuse(backend: str, **options: object) -> None:
    given = sorted(
        name for name, value in options.items() if value is not None and value is not False and value != 0
    )
    if given:
        raise BadUsage(
            f"backend {backend!r} does not take {', '.join(given)}", remedy="use backend='losscope'"
        )


def _imported(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise BadUsage(
            f"backend needs {package}", seen=str(error), remedy=f"pip install {package}"
        ) from error


def _torch(batch: Batch, settings: Settings) -> Tensor:
    _refuse(
        "torch", softcap=settings.softcap, z_loss=settings.z_loss, label_smoothing=settings.label_smoothing
    )
    if not hasattr(F, "linear_cross_entropy"):
        raise BadUsage(
            "this torch has no linear_cross_entropy of its own",
            seen=f"torch {torch.__version__}",
            remedy="use backend='losscope', or torch 2.13 or newer",
        )
    rows = settings.chunk_rows
    method = "auto" if rows is None else None
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=rows, chunking_method=method)
    return F.linear_cross_entropy(
        batch.input,
        batch.weight,
        batch.target,
        linear_bias=batch.bias,
        weight=batch.class_weight,
        reduction=settings.reduction,
        ignore_index=settings.ignore_index,
        options=options,
    )


def _liger(batch: Batch, settings: Settings) -> Tensor:
    """arXiv:2410.10989, ``LigerFusedLinearCrossEntropyLoss``."""
    both = batch.class_weight is not None and settings.z_loss > 0
    _refuse("liger", class_weight_with_z_loss=both, chunk_rows=settings.chunk_rows)
    module = _imported("liger_kernel.transformers", "liger-kernel")
    loss = module.LigerFusedLinearCrossEntropyLoss(
        ce_weight=batch.class_weight,
        ignore_index=settings.ignore_index,
        lse_square_scale=settings.z_loss,
        label_smoothing=settings.label_smoothing,
        reduction=settings.reduction,
        softcap=settings.softcap,
    )
    return loss(batch.weight, batch.input, batch.target, batch.bias)


def _cce(batch: Batch, settings: Settings) -> Tensor:
    """arXiv:2411.09009, ``cut_cross_entropy.linear_cross_entropy``."""
    _refuse(
        "cce",
        class_weight=batch.class_weight is not None,
        z_loss=settings.z_loss,
        label_smoothing=settings.label_smoothing,
        chunk_rows=settings.chunk_rows,
        bias=batch.bias is not None,
    )
    module = _imported("cut_cross_entropy", "cut-cross-entropy")
    return module.linear_cross_entropy(
        batch.input,
        batch.weight,
        batch.target,
        ignore_index=settings.ignore_index,
        softcap=settings.softcap,
        reduction=settings.reduction,
    )


BACKENDS: dict[str, Backend] = {"torch": _torch, "liger": _liger, "cce": _cce}
