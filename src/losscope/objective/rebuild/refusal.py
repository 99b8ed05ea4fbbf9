"""Why an objective cannot be rebuilt, in words for people."""

from losscope.core.text import Message


class NotRebuildable(Exception):
    """The objective of a run cannot be rebuilt; ``why`` says so in one sentence."""

    def __init__(self, why: Message) -> None:
        self.why = why
        super().__init__(str(why))
