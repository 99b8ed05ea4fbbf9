"""What an output format is, and how the reports of a run folder are written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from losscope.core.files import write_atomically
from losscope.core.registry import discover
from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording

Render = Callable[[Verdict, Recording, Language], str]
StreamRender = Callable[[Verdict, Recording, Language, TextIO | None], str]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to show a verdict.

    ``name`` is the choice of ``losscope report --format``, ``suffix`` the usual ending of such a file.
    ``render`` returns the whole text. ``filename`` is the file's name inside the run folder; an empty
    one means that a run does not write this format by itself. ``render_for`` is given where the text
    depends on the stream that will show it (colour, width, encoding).
    """

    name: str
    suffix: str
    render: Render
    filename: str = ""
    render_for: StreamRender | None = None

    def text_for(
        self, verdict: Verdict, recording: Recording, language: Language, stream: TextIO | None
    ) -> str:
        """The text as it should be written to ``stream``; ``None`` stands for a file."""
        if self.render_for is None:
            return self.render(verdict, recording, language)
        return self.render_for(verdict, recording, language, stream)


def formats() -> dict[str, Format]:
    """Every format by name, found in ``losscope.report.formats``."""
    found = discover("losscope.report.formats", "FORMAT")
    return {format.name: format for format in found.values()}


def write_reports(
    verdict: Verdict, recording: Recording, folder: Path, language: Language = "en"
) -> list[Path]:
    """Write every format that belongs in a run folder (``verdict.json``, ``report.html``).

    Each file appears whole or not at all. Returns the paths written. Raises ``OSError`` where the
    folder cannot be written.
    """
    written = []
    for format in formats().values():
        if format.filename:
            path = folder / format.filename
            write_atomically(path, format.render(verdict, recording, language))
            written.append(path)
    return written
