"""A measured or computed number with its uncertainty and its price."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """``value`` ± ``stderr`` (one standard error; 0 for a closed form).

    ``products`` counts the matrix-vector products and ``seconds`` the wall time spent on it.

    >>> Estimate(2.3026, 0.01).scaled(10)
    Estimate(value=23.026, stderr=0.1, products=0, seconds=0.0)
    """

    value: float
    stderr: float = 0.0
    products: int = 0
    seconds: float = 0.0

    def scaled(self, factor: float) -> "Estimate":
        """The estimate of ``factor`` times the quantity."""
        return Estimate(self.value * factor, self.stderr * abs(factor), self.products, self.seconds)
