"""Hands a verdict to every output format. Formats are found by discovery: their room lies above this one."""

import os
from functools import partial
from pathlib import Path

from losscope.core.files import write_atomically
from losscope.core.registry import discover
from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.watching.voice import Voice


def publish(verdict: Verdict, recording: Recording, folder: Path, language: Language, voice: Voice) -> None:
    """Write the formats that belong in a run folder, then print the terminal verdict on stderr.

    A format that fails is named in one line; the others are still written.
    """
    formats = discover("losscope.report.formats", "FORMAT").values()
    for form in formats:
        if form.filename:
            try:
                write_atomically(folder / form.filename, form.render(verdict, recording, language))
            except Exception as error:  # noqa: BLE001  one faulty format must not cost the others
                voice.say(f"cannot write {folder / form.filename}: {_reason(error)}")
    if os.environ.get("LOSSCOPE_QUIET"):
        return
    for form in formats:
        if form.name == "terminal":
            voice.write(partial(form.text_for, verdict, recording, language))


def _reason(error: Exception) -> str:
    """A fault of the disk in the words of the system; one of ours as it is."""
    return (isinstance(error, OSError) and error.strerror) or repr(error)
