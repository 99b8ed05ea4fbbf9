"""Three matrices that are called Fisher information, F = (1/N) Σ E[s sᵀ] with scores s = ∇_θ of -ln p(y | f(θ; x)).

* ``exact``: the expectation over labels y of the model's own distribution, in closed form. For likelihoods in natural
  parameters it is the Gauss-Newton matrix (Martens, 2020, arXiv:1412.1193, section 9); for others, such as a predicted
  variance or a model that ends in a log-softmax, it is not, and does not depend on the labels.
* ``mc``: labels drawn from the model, the same ones at every product; unbiased, of rank ≤ rows × draws.
* ``empirical``: the labels of the data instead. Not the Fisher information, however often it is called that: at a good
  fit its scores vanish while those of the Fisher matrix do not, and far from one it is dominated by outliers
  (Kunstner, Balles and Hennig, 2019, arXiv:1905.12558). It is the second moment of the gradient noise.
"""

from collections.abc import Callable
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.kept import MEMORY
from losscope.operators.likelihood import scores_of
from losscope.operators.linearisation import Linearisation
from losscope.operators.of_objective import linearised
from losscope.operators.second_derivative import SecondDerivative

__all__ = ["Fisher"]

Curve = Callable[[list[Tensor]], list[Tensor]]
Kind = Literal["exact", "mc", "empirical"]


class Fisher(SecondDerivative):
    """The Fisher information of an objective's likelihood, [P, P]; rows are weighted as the loss weights them.

    ``draws`` labels per row for "mc", from ``seed``. The penalty does not enter. Cost of a product: as Gauss-Newton's.
    Likelihoods are softmax and binary cross-entropy (of logits, log-probabilities or probabilities; with soft or
    smoothed targets, class and sample weights, ignored targets), squared error, the Gaussian with a given or predicted
    variance, Poisson, and weighted sums of these; how they are defined is in ``losscope.operators.likelihood``. Raises
    ``BadUsage`` for any other loss.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x))
    >>> float(Fisher(objective).dense())  # 2 mean x²
    5.0
    """

    of_network = False

    def __init__(
        self,
        objective: Objective,
        kind: Kind = "exact",
        *,
        draws: int = 1,
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        if kind not in ("exact", "mc", "empirical"):
            raise BadUsage("a Fisher matrix is exact, mc or empirical", seen=repr(kind))
        if draws < 1:
            raise BadUsage("labels are drawn at least once", seen=f"draws={draws}")
        super().__init__(objective)
        self.kind, self.draws, self.seed = kind, draws, seed
        self._batches = linearised(objective, memory)
        self._curves: WeakKeyDictionary[Linearisation, Curve] = WeakKeyDictionary()
        for batch in self._batches:  # what cannot be done is said at once
            scores_of(objective, batch)

    def product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for batch in self._batches:
            curve = self._curves.get(batch)
            if curve is None:
                curve = self._curves[batch] = self._curve(batch)
            for j in range(vectors.shape[1]):
                total[:, j].add_(batch.pull(curve(batch.push(vectors[:, j]))), alpha=batch.coefficient)
        return total

    def _curve(self, batch: Linearisation) -> Curve:
        """w ↦ Σ_row m E[s sᵀ] w."""
        rows = scores_of(self.objective, batch)
        if self.kind == "exact":
            return rows.product
        if self.kind == "empirical":
            scores = [rows.data()]
        else:
            generator = torch.Generator(self.device).manual_seed(self.seed + 7919 * batch.index)
            scores = [rows.drawn(generator) for _ in range(self.draws)]
        return lambda w: _mean([rows.outer(score, w) for score in scores])


def _mean(vectors: list[list[Tensor]]) -> list[Tensor]:
    return [torch.stack(column).mean(0) for column in zip(*vectors, strict=True)]
