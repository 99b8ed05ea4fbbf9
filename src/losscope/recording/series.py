"""One series as it is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Records in order of writing: ``steps`` int64 [n], ``values`` float64 [n].

    Steps may repeat or run backwards where the script recorded so; values may be nan or infinite.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, steps: ArrayLike, values: ArrayLike) -> "Series":
        """From any two sequences of equal length. Raises ``ValueError`` otherwise."""
        whole, numbers = np.asarray(steps, dtype=np.int64), np.asarray(values, dtype=np.float64)
        if whole.ndim != 1 or whole.shape != numbers.shape:
            raise ValueError(f"a series needs as many steps as values: {whole.shape} and {numbers.shape}")
        return cls(whole, numbers)


EMPTY = Series(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))
