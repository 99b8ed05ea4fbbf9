"""Hands a verdict to every output format. Formats are found by discovery: their room lies above this one."""

import os
import sys
from pathlib import Path

from losscope.core.files import write_atomically
from losscope.core.registry import discover
from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording


def publish(verdict: Verdict, recording: Recording, folder: Path, language: Language) -> None:
    """Write the formats that belong in a run folder, then print the terminal verdict on stderr.

    A format that fails is named in one line; the others are still written.
    """
    formats = discover("losscope.report.formats", "FORMAT").values()
    for form in formats:
        if form.filename:
            try:
                write_atomically(folder / form.filename, form.render(verdict, recording, language))
            except Exception as error:  # noqa: BLE001  one faulty format must not cost the others
                sys.stderr.write(f"losscope: cannot write {form.filename}: {error!r}\n")
    if os.environ.get("LOSSCOPE_QUIET") or sys.stderr is None:
        return
    for form in formats:
        if form.name == "terminal":
            sys.stderr.write(form.text_for(verdict, recording, language, sys.stderr))
            sys.stderr.flush()
