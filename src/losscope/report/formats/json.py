"""``verdict.json``: the stable record of a verdict (schema 1), for programs."""

import json

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.report.examined import examination_json
from losscope.report.format import Format


def render(verdict: Verdict, recording: Recording, language: Language = "en") -> str:
    """The verdict, and what the examination at the end of the run found, where there was one."""
    document = verdict.to_json(language) | {"examination": examination_json(recording, language)}
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


FORMAT = Format("json", ".json", render, filename="verdict.json")
