"""Terminal, Markdown, JSON, and the files of a run folder."""

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import finding, make_run, say
from hypothesis import given
from hypothesis import strategies as st

from losscope.core.files import write_atomically
from losscope.core.finding import Where
from losscope.core.text import LANGUAGES
from losscope.report.format import formats, write_reports
from losscope.report.formats.markdown import code, escape
from losscope.report.formats.terminal import render, render_for
from losscope.report.view import branches, confidence, grade, place


class Terminal(io.StringIO):
    """A stream that says it is a terminal with this encoding."""

    def __init__(self, encoding: str = "utf-8", tty: bool = True) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


def shown(stream: Any = None, language: Any = "en", **changes: Any) -> str:
    run = make_run(**changes)
    return render_for(run.verdict, run.recording, language, stream)


# --- terminal -------------------------------------------------------------------------------------


def test_the_terminal_verdict_is_short_and_starts_with_the_state() -> None:
    text = shown()
    lines = text.splitlines()
    assert lines[0] == "losscope ✖ Wrong  The sentence."
    assert len(lines) <= 20
    assert text.endswith("\n")
    for part in (
        "double-softmax train.py:41",
        "remedy of double-softmax",
        "explains 2 more: loss-at-chance, floor-above-zero",
        "Confirmed by experiment, 60 %",
        "0.31 nats = 13 % of the chance level 2.30",
        "stuck, 300 updates in 1 min 15 s · loss 2.3 → 0.31",
        "watching cost 0.91 s (1.2 %)",
        "checks that could not be made: 1",
    ):
        assert part in " ".join(text.split()), part


def test_the_title_is_not_said_twice() -> None:
    assert shown(sentence=say("title of double-softmax.")).count("title of double-softmax") == 1


def test_a_warning_below_a_note_is_shown() -> None:
    text = shown(findings=(finding("note", "info"), finding("act", "warning", because_of="note")))
    assert "remedy of act" in text
    assert "remedy of note" not in text


def test_many_findings_stay_short() -> None:
    text = shown(findings=tuple(finding(f"code-{i}") for i in range(30)))
    assert len(text.splitlines()) <= 24
    assert "and 27 more" in text


def test_plain_where_it_is_no_terminal() -> None:
    assert "\x1b" not in shown(Terminal(tty=False))
    assert "\x1b" not in shown(None)


def test_colour_on_a_terminal_unless_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;31m" in shown(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(Terminal())


@pytest.mark.parametrize(
    "encoding", ["ascii", "latin-1", "cp1252", "cp437", "gbk", "utf-8", "no-such-encoding"]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_stream_can_encode_what_it_gets(encoding: str, language: Any) -> None:
    text = shown(Terminal(encoding), language)
    text.encode("ascii" if encoding == "no-such-encoding" else encoding)
    assert "?" not in text.splitlines()[0]


def test_a_stream_without_chinese_gets_english() -> None:
    assert "Wrong" in shown(Terminal("ascii"), "zh")
    assert "有错误" in shown(Terminal("gbk"), "zh")


@pytest.mark.parametrize("columns", ["40", "80", "200", "7"])
def test_narrow_terminals(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    widest = max(len(line) for line in shown().splitlines())
    assert widest <= max(40, int(columns))


def test_names_cannot_steer_the_terminal() -> None:
    evil = "\x1b[31m\x9b2J\x07\r\u202e[bold]x[/bold] {0}"
    text = shown(
        expression=evil, sentence=say(evil), findings=(finding("c", title=say(evil), remedy=say(evil)),)
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[bold]x[/bold] {0}" in text


def test_standard_error_decides_where_no_stream_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    assert "\x1b" not in render(run.verdict, run.recording)


# --- Markdown and JSON ----------------------------------------------------------------------------


def test_markdown_says_the_same() -> None:
    run = make_run()
    text = formats()["markdown"].render(run.verdict, run.recording, "en")
    assert text.startswith("## ✖ Wrong\n")
    for part in (
        "`double-softmax` `train.py:41`",
        "remedy of double-softmax",
        "13 % of the chance",
        "`overfitting`",
    ):
        assert part in text
    assert text.index("`loss-at-chance`") < text.index("`learning-rate-too-low`")
    assert "    - **Note** `floor-above-zero`" in text


@given(st.text(max_size=40))
def test_markdown_of_any_text_has_no_markup(words: str) -> None:
    assert not re.search(r"(?<!\\)[<>`\[\]|*_#]", escape(words))
    assert "\n" not in escape(words)
    span = code(words)
    fence = re.match("`+", span)
    assert fence is not None
    assert fence[0] not in span.strip("`")


def test_json_is_the_verdict() -> None:
    run = make_run()
    text = formats()["json"].render(run.verdict, run.recording, "en")
    assert json.loads(text) == run.verdict.to_json("en") | {"examination": None}


# --- what all formats share -----------------------------------------------------------------------


def test_every_format_renders_every_state_in_every_language() -> None:
    for state in ("healthy", "suspicious", "wrong", "not-enough-evidence"):
        run = make_run(state=state, findings=())
        for language in LANGUAGES:
            for format in formats().values():
                text = format.text_for(run.verdict, run.recording, language, None)
                assert text.strip() and text.endswith(("\n", "</html>"))


def test_formats_are_named_after_their_files() -> None:
    from losscope.cli.report import format_choices

    assert format_choices() == sorted(formats())


def test_every_finding_appears_once_in_the_tree() -> None:
    findings = (
        finding("a", because_of="b"),
        finding("b", because_of="a"),
        finding("c", because_of="gone"),
        finding("d", because_of="d"),
        finding("e", because_of="c"),
    )
    tree = branches(make_run(findings=findings).verdict)
    codes = [c for b in tree for c in (b.finding.code, *b.codes())]
    assert sorted(codes) == ["a", "b", "c", "d", "e"]
    assert next(b for b in tree if b.finding.code == "c").codes() == ["e"]


def test_places_are_relative_to_where_the_run_was_started() -> None:
    recording = make_run(run={"cwd": "/home/ada/digits"}).recording
    assert place(Where("/home/ada/digits/src/train.py", 3), recording) == "src/train.py:3"
    assert place(Where("/opt/lib.py", 3), recording) == "/opt/lib.py:3"
    assert place(Where("train.py", 3), make_run(run={"cwd": 7}).recording) == "train.py:3"
    assert place(None, recording) == ""


def test_grades() -> None:
    run = make_run()
    assert [grade(f, "en") for f in run.verdict.findings] == [
        *["Strong evidence"] * 3,
        "Confirmed by experiment",
    ]
    assert grade(finding("a", confidence=0.9), "en") == "Moderate evidence"
    assert grade(finding("a", confidence=0.5), "en") == "Weak evidence"
    assert confidence(finding("a", confidence=0.999)) == ">99 %"
    assert confidence(finding("a", confidence=1.0)) == "100 %"


# --- files ----------------------------------------------------------------------------------------


def test_the_run_folder_gets_verdict_and_page(tmp_path: Path) -> None:
    run = make_run()
    paths = write_reports(run.verdict, run.recording, tmp_path)
    assert sorted(p.name for p in paths) == ["report.html", "verdict.json"]
    assert sorted(os.listdir(tmp_path)) == ["report.html", "verdict.json"]
    assert json.loads((tmp_path / "verdict.json").read_text("utf-8"))["state"] == "wrong"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_names_that_are_not_utf8_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", "a\udcffb")
    assert (tmp_path / "x").read_text("utf-8") == "a?b"


def test_replacing_the_verdict_in_a_recording_changes_nothing_else() -> None:
    run = make_run()
    html = formats()["html"]
    once = html.render(run.verdict, run.recording, "en")
    again = html.render(replace(run.verdict), run.recording, "en")
    assert once == again
