"""What every hook of the watch has in common: its time is booked, and a fault in it never reaches the script."""

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from losscope.watching.values import hidden

if TYPE_CHECKING:
    from losscope.watching.watch import Watch


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Book the time of a hook; a fault inside it is written down and ends the watch, nothing more."""

    @wraps(method)
    def hook(self: "Watch", *args: Any) -> None:
        if self.off:
            return
        began = perf_counter()
        try:
            hidden(method, self, *args)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.caught(method.__name__, error)
        self.governor.charge(perf_counter() - began, plain=not self.deep.active)

    return hook
