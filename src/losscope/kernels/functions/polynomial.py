"""Linear and polynomial kernels, (s x·z + c)^p."""

from typing import Any

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel, not_negative, pair, points, positive

__all__ = ["Linear", "Polynomial"]


class Polynomial(Kernel):
    """(s x·z + c)^p: all monomials of the inputs up to degree p (of degree p alone for c = 0). Cost: n·m·d.

    >>> Polynomial(2)([[1.0], [2.0]]).tolist()
    [[4.0, 9.0], [9.0, 25.0]]
    """

    def __init__(self, degree: int = 3, scale: float = 1.0, constant: float = 1.0) -> None:
        if not isinstance(degree, int) or degree < 1:
            raise BadUsage("the degree of a polynomial kernel is a whole number from 1", seen=repr(degree))
        self.degree = degree
        self.scale, self.constant = positive(scale, "a scale"), not_negative(constant, "the constant")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(degree={self.degree}, scale={self.scale:g}, constant={self.constant:g})"
        )

    def __call__(self, one: Any, other: Any = None) -> Tensor:
        x, z = pair(one, other)
        return (self.scale * (x @ z.T) + self.constant) ** self.degree

    def diagonal(self, inputs: Any) -> Tensor:
        return (self.scale * points(inputs).square().sum(1) + self.constant) ** self.degree


class Linear(Polynomial):
    """s x·z + c: linear functions of the inputs, with a penalised constant where c > 0.

    >>> Linear()([[1.0, 0.0], [1.0, 2.0]]).tolist()
    [[1.0, 1.0], [1.0, 5.0]]
    """

    def __init__(self, scale: float = 1.0, constant: float = 0.0) -> None:
        super().__init__(1, scale, constant)
