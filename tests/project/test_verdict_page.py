"""The page on ``verdict.json`` lists exactly the fields and the fixed words that the verdict writes."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from source_tree import ROOT

from losscope.core import finding, verdict
from losscope.core.finding import Evidence, Finding, TrialResult, Where
from losscope.core.text import Text
from losscope.core.verdict import Level, TermSummary, Training, Validation, Verdict
from losscope.recording.examination_file import FILE
from losscope.recording.reader import Recording
from losscope.recording.writer import Recorder
from losscope.report.formats.json import render

WORD = Text(en="word", zh="词")()
PAGE = (ROOT / "docs/reference/verdict-json.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", PAGE, flags=re.MULTILINE))


def full() -> Verdict:
    """A verdict in which every optional part is present."""
    evidence = Evidence(text=WORD, signal="loss", value=1.0, expected=WORD)
    trial = TrialResult(name="replay", outcome="open", effect=0.0, interval=(0.0, 1.0))
    found = Finding(
        code="non-finite",
        severity="error",
        confidence=1.0,
        title=WORD,
        evidence=(evidence,),
        remedy=WORD,
        where=Where("train.py", 1),
        trial=trial,
    )
    training = Training(
        status="falling",
        steps=1,
        first_loss=1.0,
        last_loss=1.0,
        validation=Validation(first=1.0, best=1.0, last=1.0),
        overhead=0.0,
        seconds=1.0,
        level=Level(first=1.0, last=1.0, window=1),
    )
    return Verdict(
        state="wrong",
        sentence=WORD,
        training=training,
        expression="",
        terms=(TermSummary(kind="mse", coefficient=1.0, reduction="mean", value=1.0),),
        findings=(found,),
        not_judged=(("overfitting", WORD),),
        passed=("diverging-loss",),
    )


def examined(folder: Path) -> Recording:
    """A recording whose objective could not be examined."""
    Recorder(folder).close()
    (folder / FILE).write_text('{"schema": 1, "examined": false, "why": {"en": "gone"}}', encoding="utf-8")
    return Recording.open(folder)


def leaves(value: object, path: str = "") -> set[str]:
    """Paths of every value that is no container of named fields."""
    if isinstance(value, dict) and value:
        return {leaf for key, inner in value.items() for leaf in leaves(inner, f"{path}.{key}".lstrip("."))}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return leaves(value[0], f"{path}[]")
    return {path}


def test_the_page_lists_every_field_and_no_other(tmp_path: Path) -> None:
    written = leaves(json.loads(render(full(), examined(tmp_path))))
    listed = {path for path in ROWS if not any(other.startswith(f"{path}.") for other in ROWS)}
    assert listed == written


WORDS = {
    "state": verdict.State,
    "training.status": verdict.Status,
    "findings[].severity": finding.Severity,
    "findings[].trial.outcome": TrialResult.__dataclass_fields__["outcome"].type,
}


@pytest.mark.parametrize("field", WORDS)
def test_the_page_lists_the_fixed_words(field: str) -> None:
    assert re.findall(r"`([^`]+)`", ROWS[field]) == [*get_args(WORDS[field])]


def test_the_schema_number_is_the_one_written() -> None:
    assert f"Schema {full().to_json()['schema']};" in PAGE


def test_a_field_without_a_row_would_be_noticed() -> None:
    assert leaves({"a": {"b": 1}, "c": [{"d": None}], "e": [1], "f": {}}) == {"a.b", "c[].d", "e", "f"}
