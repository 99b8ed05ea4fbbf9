"""Vectors over the predictions whose pullbacks make up a Fisher or Gauss-Newton matrix: F = E Σ_k (Jᵀ r_k)(Jᵀ r_k)ᵀ.

``exact``: one vector for each output of a sample; ``mc``: one for each label drawn; ``empirical``: one, of the data's
labels. In each of them a sample has one row, or rows with independent signs, and so do the samples: then also products
across rows vanish in expectation, and where samples meet in the network (batch normalisation) the mean is still right.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.likelihood import Scores, scores_of
from losscope.operators.linearisation import Linearisation
from losscope.operators.loss_hessian import MOST_OUTPUTS, loss_hessians, split

Kind = Literal["exact", "mc", "empirical"]
_PRIME = 7919


class Roots:
    """How a matrix over an objective is drawn or summed; the same for the same seed, however often it is asked."""

    def __init__(self, objective: Objective, kind: Kind | None, draws: int, seed: int) -> None:
        if kind not in ("exact", "mc", "empirical", None):
            raise BadUsage("a Fisher matrix is exact, mc or empirical", seen=repr(kind))
        if draws < 1:
            raise BadUsage("labels are drawn at least once", seen=f"draws={draws}")
        self.objective, self.kind, self.draws, self.seed = objective, kind, draws, seed

    def of(self, batch: Linearisation) -> Iterator[list[Tensor]]:
        """The vectors of one batch, with its coefficient in L. Raises ``BadUsage`` where the loss has none."""
        generator = torch.Generator(batch.loss.device).manual_seed(self.seed + _PRIME * batch.index)
        scores = self._scores(batch)
        if self.kind is None:
            self.kind = "exact" if scores is None or _outputs(batch) <= MOST_OUTPUTS else "mc"
        if self.kind == "exact" and _outputs(batch) > MOST_OUTPUTS:
            raise BadUsage(
                "an exact matrix takes a backward pass for each output of a sample",
                seen=f"{_outputs(batch):,} outputs",
                remedy='take kind="mc"',
            )
        scale = math.sqrt(batch.coefficient)
        for vector in self._vectors(batch, scores, generator):
            yield [v * scale for v in vector]

    def _scores(self, batch: Linearisation) -> Scores | None:
        """``None`` where the loss is no likelihood, but has a Gauss-Newton matrix."""
        try:
            return scores_of(self.objective, batch)
        except BadUsage:
            if self.kind in ("mc", "empirical"):
                raise
            return None

    def _vectors(
        self, batch: Linearisation, scores: Scores | None, generator: torch.Generator
    ) -> Iterator[list[Tensor]]:
        if scores is None:
            yield from _of_hessians(batch, generator)
        elif self.kind == "exact":
            for vector in scores.root():
                yield scores.flipped(vector, generator)
        elif self.kind == "empirical":
            yield scores.flipped(scores.data(), generator)
        else:
            for _ in range(self.draws):
                yield [v / math.sqrt(self.draws) for v in scores.drawn(generator)]


def _outputs(batch: Linearisation) -> int:
    """Outputs of one sample."""
    return sum(p.numel() for p in batch.predictions) // (batch.samples or 1)


def _of_hessians(batch: Linearisation, generator: torch.Generator) -> Iterator[list[Tensor]]:
    """√λ_k u_k of the loss Hessian of every sample."""
    if batch.samples is None:
        raise BadUsage("the predictions have no axis of samples in common", seen="their shapes")
    values, vectors = torch.linalg.eigh(loss_hessians(batch, batch.samples))
    least, most = float(values.min()), float(values.max())
    rounding = max(1e-5, 10 * torch.finfo(batch.predictions[0].dtype).eps)
    if least < -rounding * max(most, 0.0) - torch.finfo(values.dtype).tiny:
        raise BadUsage(
            "the loss is not convex in the predictions, so that its Gauss-Newton matrix is indefinite",
            seen=f"an eigenvalue {least:.3g} of its Hessian",
            remedy="use GaussNewton or Hessian as they are",
        )
    for k in range(values.shape[1]):
        signs = torch.randint(0, 2, values[:, k].shape, generator=generator, device=values.device) * 2 - 1
        yield split((signs * values[:, k].clamp_min(0).sqrt())[:, None] * vectors[:, :, k], batch)
