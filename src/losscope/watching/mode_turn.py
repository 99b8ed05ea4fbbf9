"""Layers that trained evaluate from now on: told without a look at the graph, where none can be afforded."""

from losscope.watching.budget import Governor
from losscope.watching.deep import DeepSampler
from losscope.watching.modes import caller_of_modules
from losscope.watching.streams import Streams
from losscope.watching.user_code import where

_UPDATES = 4


class Turn:
    """Call it with the number of calls in a row that were off.

    It asks for a sample, and looks at the modules themselves when updates have been made meanwhile: a validation under
    autograd makes none.
    """

    def __init__(self, streams: Streams, governor: Governor, deep: DeepSampler) -> None:
        self._streams, self._governor, self._deep = streams, governor, deep
        self._calls, self._begun = 0, 0
        self._told = False

    def __call__(self, calls: int) -> None:
        step, new = self._streams.main_step, not self._calls
        self._calls = calls
        if not calls:  # the row has ended
            self._back(step)
        elif new:
            self._begun = step
            self._governor.invite()
        elif step >= self._begun + _UPDATES and not self._told and len(self._streams.all) == 1:
            self._tell(step)

    def _tell(self, step: int) -> None:
        flags = self._deep.names.modes(self._deep.parameters)
        if flags.evaluating and not flags.training and not flags.alone:
            self._told = True
            dropouts = flags.evaluating - flags.norms
            self._event(step, evaluating=True, norms=[flags.norms, 0], dropouts=[dropouts, 0])

    def _back(self, step: int) -> None:
        if self._told:
            self._told = False
            self._event(step, evaluating=False, norms=[0, 0], dropouts=[0, 0])

    def _event(self, step: int, *, evaluating: bool, norms: list[int], dropouts: list[int]) -> None:
        place = where(caller_of_modules())
        self._deep.outlet.event(
            "modes",
            stream=self._streams.all[0].label,
            step=step,
            evaluating=evaluating,
            intended=False,
            untouched=False,
            norms=norms,
            dropouts=dropouts,
            where={"file": place.file, "line": place.line} if place else None,
        )
