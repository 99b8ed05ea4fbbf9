"""Estimates that go on where they stopped: an estimator is a course with pauses, at each of which an answer is known.

``trace(op, seconds=5)`` is the course up to its first pause. ``trace.search(op)`` keeps the course:

>>> import torch
>>> from losscope.estimators.traces.hutchinson import hutchinson
>>> from losscope.operators.dense import Dense
>>> search = hutchinson.search(Dense(torch.ones(100, 100)), rtol=0.1)
>>> first, second = search.run(products=16), search.run(products=16)
>>> first.products, second.products, second.stderr < first.stderr
(16, 32, True)

The tolerance and everything else but the limits belong to the course; ``seconds``, ``products`` and ``progress`` are
those of one stretch. What is found depends on the seed and the products, not on the seconds between stretches; where
an estimator plans by what products are left (a basis, or samples), it plans for its stretch.
"""

import functools
import inspect
import math
import typing
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from losscope.objective.precision import without_autocast

__all__ = ["Search"]

Progress = Callable[[int, float], None]
"""Called now and then with the products so far and the present error."""

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stretch:
    """What an estimate may spend until its next pause, beyond what it has spent."""

    seconds: float
    products: float
    progress: Progress | None


Course = Generator[R, Stretch, R]
"""Yields what is known at a pause, and is sent what may be spent until the next one; returns the end."""


class Search(Generic[R]):
    """An estimate under way. ``done``: it has ended by itself, and more time would change nothing."""

    def __init__(self, begin: Callable[[Stretch], Course[R]]) -> None:
        self._begin = begin
        self._course: Course[R] | None = None
        self._found: list[R] = []
        self.done = False

    def run(self, *, seconds: float = math.inf, products: int = 1000, progress: Progress | None = None) -> R:
        """Go on for so many ``seconds`` or ``products`` more; the answer of all stretches together.

        A search that was interrupted within a stretch (Ctrl-C, an error in the model) cannot be continued: it gives
        the answer of its last pause, or begins anew where there was none.
        """
        if self.done:
            return self._found[-1]
        stretch = Stretch(seconds, products, progress)
        if self._course is None:
            self._course = self._begin(stretch)
            step = functools.partial(next, self._course)
        else:
            step = functools.partial(self._course.send, stretch)
        try:
            with without_autocast():
                self._found[:] = [step()]
        except StopIteration as end:
            self._found[:], self.done = [end.value], True
        except BaseException:
            self._course, self.done = None, bool(self._found)
            raise
        return self._found[-1]


class Resumable(Protocol[P, R]):
    """An estimator: called, it answers once; ``search`` gives the same to be continued."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def course(self, *args: P.args, **kwargs: P.kwargs) -> Course[R]:
        """The pauses themselves, for estimators that are made of others."""
        ...

    def search(self, *args: P.args, **kwargs: P.kwargs) -> Search[R]:
        """The estimate as a :class:`Search`; limits that are given here are not used, but those of its stretches."""
        ...


def resumable(course: Callable[P, Course[R]]) -> Resumable[P, R]:
    """An estimator from its course, a generator function with the limits among its arguments."""

    @functools.wraps(course)
    def estimator(*args: P.args, **kwargs: P.kwargs) -> R:
        found = course(*args, **kwargs)
        try:
            with without_autocast():
                return next(found)
        except StopIteration as end:
            return end.value
        finally:
            found.close()

    def search(*args: P.args, **kwargs: P.kwargs) -> Search[R]:
        signature.bind(*args, **kwargs)
        names = {"seconds", "products", "progress"}
        kept = {name: value for name, value in kwargs.items() if name not in names}

        def begin(stretch: Stretch) -> Course[R]:
            limits = {name: getattr(stretch, name) for name in names}
            return course(*args, **kept, **limits)  # pyright: ignore[reportCallIssue]

        return Search(begin)

    signature = inspect.signature(course)
    answer = typing.get_args(signature.return_annotation)[0]
    parts = {"__signature__": signature.replace(return_annotation=answer), "course": course, "search": search}
    vars(estimator).update(parts)
    estimator.__annotations__ = {**course.__annotations__, "return": answer}
    return typing.cast(Resumable[P, R], estimator)


def stages(course: Generator[R, Any, R]) -> Iterator[tuple[R, bool]]:
    """What is known at each pause of a course, and at its end, and whether it is the end. Nothing is sent to it."""
    while True:
        try:
            found = next(course)
        except StopIteration as end:
            yield end.value, True
            return
        yield found, False


def mapped(course: Course[R], function: Callable[[R], T]) -> Course[T]:
    """A course that answers by a function of another's answers."""
    try:
        found = next(course)
        while True:
            stretch = yield function(found)
            found = course.send(stretch)
    except StopIteration as end:
        return function(end.value)
