"""What the examination of a run's objective found, in one sentence, for every format.

The document comes from a file: what is in it is checked for its kind.
"""

from typing import Any

from losscope.core.text import Language
from losscope.recording.examination_file import read_examination
from losscope.recording.reader import Recording
from losscope.report.view import folder_of
from losscope.report.words import word

_LONGEST = 2000  # characters


def examination_line(recording: Recording, language: Language) -> str:
    """The sentence, or why there is no examination; nothing where none was asked for."""
    document = read_examination(folder_of(recording))
    if document is None:
        return ""
    if document.get("examined") is False:
        return word("geometry.none", language, why=_text(document.get("why"), language))
    words = document.get("words")
    return _text(_of(words, language), "sentence")


def examination_json(recording: Recording, language: Language) -> dict[str, Any] | None:
    """The same for programs."""
    line = examination_line(recording, language)
    document = read_examination(folder_of(recording)) if line else None
    if document is None:
        return None
    return {"examined": document.get("examined") is not False, "text": line}


def _of(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, dict) else None


def _text(mapping: Any, name: str) -> str:
    found = _of(mapping, name)
    return found[:_LONGEST] if isinstance(found, str) else ""
