"""Graphs that are made once and differentiated many times, as long as they fit into memory and stay true."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from losscope.objective.objective import Objective
from losscope.operators.state import state

MEMORY = 2 << 30
"""Bytes of saved tensors that are kept between products."""

T = TypeVar("T")


class Kept(Generic[T]):
    """Iterates over what ``make`` gives, one piece for each batch, made again only where it has to be.

    ``size`` tells how many bytes a piece keeps alive. Beyond ``memory`` bytes in all, nothing is kept and every
    iteration makes the pieces one by one. Where the objective has changed (see ``state``) all are made anew.
    """

    def __init__(
        self,
        make: Callable[[], Iterable[T]],
        size: Callable[[T], int],
        objective: Objective,
        memory: int = MEMORY,
    ) -> None:
        self._make, self._size, self._objective, self._memory = make, size, objective, memory
        self._pieces: list[T] | None = None
        self._state: Hashable = None
        self._fits = True

    def __iter__(self) -> Iterator[T]:
        now = state(self._objective)
        if now != self._state:
            self._pieces, self._state, self._fits = None, now, True
        if self._pieces is not None:
            yield from self._pieces
            return
        pieces: list[T] = []
        used = 0
        for piece in self._make():
            if self._fits:
                used += self._size(piece)
                self._fits = used <= self._memory
                pieces = [*pieces, piece] if self._fits else []
            yield piece
        self._pieces = pieces if self._fits else None
