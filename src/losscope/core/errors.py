"""One tree of errors. Each says what was wrong, what was seen, and what to do."""


class LosscopeError(Exception):
    """Base of every error that losscope raises on purpose.

    ``what`` is the fault in one sentence, ``seen`` the offending value, ``remedy`` the next action.
    ``str(error)`` is one line, fit for a terminal.
    """

    exit_code = 2

    def __init__(self, what: str, *, seen: str = "", remedy: str = "") -> None:
        self.what, self.seen, self.remedy = what, seen, remedy
        parts = [what + (f" (seen: {seen})" if seen else "")]
        if remedy:
            parts.append(remedy)
        super().__init__("; ".join(parts).replace("\n", " "))


class BadUsage(LosscopeError):
    """The command line or the arguments of a function do not make sense."""


class NotARun(LosscopeError):
    """A folder was given as a run that holds no recording."""


class DamagedRecording(LosscopeError):
    """A recording cannot be read at all (a torn tail alone never raises)."""


class NotReadable(LosscopeError):
    """An objective could not be read: the tensor has no autograd graph, or is not a scalar."""
