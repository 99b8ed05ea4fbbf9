"""x ln y, with 0 ln 0 = 0."""

import numpy as np


def xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As ``scipy.special.xlogy``, which takes 0.3 s to import at the start of every watched script."""
    return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))
