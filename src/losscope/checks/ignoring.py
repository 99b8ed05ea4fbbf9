"""A case whose first sample is ignored, and no other: what is measured on it, and on smaller cases of the same kind."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.checks.subject import Case, Subject, gradients, replaced

Measure = Callable[[Sequence[Tensor]], float]
CLOSE = 1e-6
_SHOWN = 1e-3  # a smaller difference is none that a reader would look at


@dataclass(frozen=True, slots=True)
class Ignoring:
    """``marks`` are the positions of the arguments that say what is ignored: labels, a mask."""

    subject: Subject
    case: Case
    marks: tuple[int, ...]

    def holds(self, case: Sequence[Tensor]) -> bool:
        """Whether the first sample is ignored as in the original case, there are others, and none of them is."""
        return self.subject.count(case) > 1 and all(
            torch.equal(case[i][0], self.case[i][0]) and bool((case[i][1:] != case[i][0]).all())
            for i in self.marks
        )

    def value(self, case: Sequence[Tensor]) -> float:
        return float(self.subject.value(case))

    def own(self, case: Sequence[Tensor]) -> float:
        """2-norm of the gradient of the ignored sample."""
        slope = gradients(self.subject, case)[2][0]
        return 0.0 if slope is None else float(slope[0].norm())

    def rest(self, case: Sequence[Tensor]) -> float:
        """The loss without the ignored sample."""
        return self.value(self.subject.rows(case, torch.arange(1, self.subject.count(case))))

    def moved(self, case: Sequence[Tensor]) -> Case:
        """Another prediction of the ignored sample."""
        first = case[self.subject.predictions[0]][0]
        step = 3.0 * torch.arange(first.numel(), dtype=first.dtype).reshape(first.shape)
        return self._with_first(case, first + step)

    def zeroed(self, case: Sequence[Tensor]) -> Case:
        return self._with_first(case, torch.zeros_like(case[self.subject.predictions[0]][0]))

    def poisoned(self, case: Sequence[Tensor]) -> Case:
        """NaN in the ignored sample."""
        return self._with_first(case, torch.full_like(case[self.subject.predictions[0]][0], math.nan))

    def _with_first(self, case: Sequence[Tensor], first: Tensor) -> Case:
        position = self.subject.predictions[0]
        prediction = case[position].clone()
        prediction[0] = first
        return replaced(case, {position: prediction})

    def when(self, shows: Callable[[Sequence[Tensor]], bool], **figures: Measure) -> dict[str, Any]:
        """How a result shrinks: as long as ``shows`` is true of such a case; ``figures`` are those of its message."""
        return {
            "subject": self.subject,
            "fails": lambda case: self.holds(case) and shows(case),
            "again": lambda case: {name: measure(case) for name, measure in figures.items()},
        }

    def unequal(self, seen: Measure, expected: Measure, name: str) -> dict[str, Any]:
        """As :meth:`when`, for two numbers that should be equal; ``name`` is that of the second in the message."""

        def apart(case: Sequence[Tensor]) -> bool:
            one, other = seen(case), expected(case)
            return abs(one - other) > _SHOWN * abs(other) + CLOSE

        return self.when(apart, **{"seen": seen, "expected": expected, name: expected})
