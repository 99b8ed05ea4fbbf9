"""A few words that a child process leaves for its parent, to be read when the child does not answer."""

import mmap

_SIZE = 256


class Note:
    """Shared between a process and the children that it forks afterwards. ``count`` tells how often it was written."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)

    def write(self, words: str) -> None:
        text = f"{self.count + 1} {words}".encode()[: _SIZE - 1]
        self._memory[: len(text) + 1] = text + b"\0"

    @property
    def count(self) -> int:
        return int(self._text().partition(" ")[0] or 0)

    @property
    def words(self) -> str:
        return self._text().partition(" ")[2]

    def _text(self) -> str:
        return self._memory[:].partition(b"\0")[0].decode(errors="replace")
