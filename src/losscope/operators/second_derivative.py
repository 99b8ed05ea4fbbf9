"""Matrices whose products are derivatives of derivatives, and that try themselves before they give one out."""

from abc import abstractmethod
from typing import final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.of_objective import OfObjective
from losscope.operators.trial import foreign, foreign_in_loss, state_of, try_second_derivatives

_ROUNDING = 1000  # times that of one number, relative to the lengths of the vectors
_ROUNDED = 10  # times what is lost in a sum of two vectors
_SPREAD = 0.1  # of all entries that a vector lies in, by its fourth moment: 1/3 for a normal vector

_TRIED: WeakKeyDictionary[Objective, dict[type, tuple[object, BadUsage | None]]] = WeakKeyDictionary()


class SecondDerivative(OfObjective):
    """A symmetric matrix of an objective by automatic differentiation, ``product`` by ``product``.

    Before the first product it is tried with a random vector of its own and the one that is given (another of its own
    where that has few entries) for uᵀAv = vᵀAu, once for an objective; with
    operations in the graph that are not torch's own, once for the parameters as they are, and then the Hessian is held
    against finite differences (:mod:`losscope.operators.trial`). ``products`` does not count these.
    """

    of_network = True
    """Whether second derivatives of the network enter; of the loss alone torch's own operations are believed."""

    @abstractmethod
    def product(self, vectors: Tensor) -> Tensor:
        """What ``apply`` gives, untried."""

    @final
    def apply(self, vectors: Tensor) -> Tensor:
        kept, state = _TRIED.setdefault(self.objective, {}), state_of(self.objective)
        seen = kept.get(type(self))
        if seen is not None and seen[0] == state:
            if seen[1] is not None:
                raise seen[1]
            return self.product(vectors)
        if self.of_network or foreign_in_loss(self.objective):
            try_second_derivatives(self.objective)
        if not (self.of_network or foreign(self.objective)):
            kept[type(self)] = state, None
            return self.product(vectors)
        generator = torch.Generator(self.device).manual_seed(0)
        spread = _spread(vectors[:, 0])
        own = torch.randn(
            self.size, 1 if spread else 2, generator=generator, dtype=self.dtype, device=self.device
        )
        block = torch.cat([vectors, own], 1)  # one block: graphs may have to be made for each
        images = self.product(block)
        pair = [0, -1] if spread else [-2, -1]
        fault = self.asymmetry(block[:, pair], images[:, pair])
        kept[type(self)] = state, fault
        if fault is not None:
            raise fault
        return images[:, : vectors.shape[1]]

    def asymmetry(self, own: Tensor, images: Tensor) -> BadUsage | None:
        """What is wrong where uᵀAv ≠ vᵀAu by more than rounding: some operation's second derivative.

        Under autocast rounding is larger than the parameters' type says; it then spoils A(u + v) = Au + Av as well.
        """
        (u, v), (au, av) = own.double().unbind(1), images.double().unbind(1)
        one, other = float(u @ av), float(v @ au)
        scale = float(u.norm() * av.norm() + v.norm() * au.norm())
        if abs(one - other) <= _ROUNDING * torch.finfo(self.dtype).eps * scale:
            return None
        rest = self.product(own.sum(1, keepdim=True))[:, 0].double() - au - av
        if abs(one - other) <= _ROUNDED * float(
            abs(u @ rest) + abs(v @ rest) + rest.norm() * (u.norm() + v.norm()) / len(u) ** 0.5
        ):
            return None
        named = ", ".join(name.removesuffix("Backward") for name in foreign(self.objective))
        return BadUsage(
            "torch gives this network a second derivative that is not symmetric, so that it is wrong",
            seen=f"uᵀAv = {one:.6g}, vᵀAu = {other:.6g}" + (f", with {named} in the graph" if named else ""),
            remedy="some operation cannot be differentiated twice",
        )


def _spread(vector: Tensor) -> bool:
    """Whether a vector has as many large entries as a random one, (Σv²)² / n Σv⁴ ≥ 0.1: it is as good to try with."""
    squares = vector.double().square()
    fourth = float(squares.square().sum())
    return fourth > 0 and float(squares.sum()) ** 2 >= _SPREAD * len(vector) * fourth
