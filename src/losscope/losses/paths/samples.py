"""The path of samples: the points of the reference, drawn towards the origin or away from it."""

from collections.abc import Iterator

import torch

from losscope.losses.paths.path import DOUBLE, Path, kinds_of
from losscope.losses.spec import LossSpec


def paths(spec: LossSpec) -> Iterator[Path]:
    """A multiple of the reference differs from it in place and in width, so that it shows a loss that sees but one."""
    if kinds_of(spec) != ["samples", "reference-samples"]:
        return
    generator = torch.Generator().manual_seed(0)
    reference = 0.5 + torch.randn(6, 2, generator=generator, dtype=DOUBLE)
    yield Path(
        label="the reference's points times this number (0: collapsed, 1: equal)",
        low=0.0,
        high=2.5,
        at=lambda x: (x * reference, reference),
        perfect=1.0,
    )
