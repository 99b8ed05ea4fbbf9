"""One line on a terminal that says what losscope does while the user waits; it is gone when that is done."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from losscope.core.text import Language, Text

Progress = Callable[[int, int, str], None]

EXAMINING = Text(
    en="losscope: examining the objective for up to {seconds:.0f} s (Ctrl-C ends it): {done}/{total} {title}",
    zh="losscope：正在检查目标函数，最多 {seconds:.0f} 秒（Ctrl-C 结束）：{done}/{total} {title}",
)
TRYING = Text(
    en="losscope: trying findings by experiments for up to {seconds:.0f} s (Ctrl-C ends it): {done}/{total} {title}",
    zh="losscope：正在用实验检验发现的问题，最多 {seconds:.0f} 秒（Ctrl-C 结束）：{done}/{total} {title}",
)
_CLEAR = "\r\x1b[K"


@contextmanager
def progress_line(
    stream: TextIO | None, seconds: float, language: Language, doing: Text = EXAMINING
) -> Iterator[Progress | None]:
    """``progress(done, total, title)`` for a terminal, ``None`` for anything else. No thread, no colours."""
    if stream is None:
        yield None
        return
    width = shutil.get_terminal_size().columns - 1

    def show(done: int, total: int, title: str) -> None:
        shown = title if language == "en" else ""  # titles are English here
        text = doing(seconds=max(seconds, 1.0), done=done, total=total or "…", title=shown)
        _put(stream, _CLEAR + text.render(language).rstrip()[:width])

    show(0, 0, "")
    try:
        yield show
    finally:
        _put(stream, _CLEAR)


def _put(stream: TextIO, text: str) -> None:
    with suppress(Exception):  # the terminal may be gone: a line that is not shown costs nothing
        stream.write(text)
        stream.flush()
