"""``verdict.json``: the stable record of a verdict (schema 1), for programs."""

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.report.format import Format


def render(verdict: Verdict, recording: Recording, language: Language = "en") -> str:
    """The verdict alone: everything in it is already judged, so the recording adds nothing."""
    del recording
    return verdict.dumps(language)


FORMAT = Format("json", ".json", render, filename="verdict.json")
