"""The geometry section: whatever stands in the file, the page is well-formed and nothing gets out of it."""

import json

import pytest
from fabricated_runs import make_run
from test_report_html import EVIL, check

from losscope.core.text import LANGUAGES
from losscope.report.format import formats
from losscope.report.page.build import page
from losscope.report.page.examination import examination_page
from losscope.report.page.geometry import geometry_view
from losscope.report.words import word

DOCUMENT = {
    "schema": 1,
    "seconds": 3.2,
    "objective": [{"en": EVIL, "zh": EVIL}],
    "facts": [
        {
            "look": "sharpness",
            "name": "sharpness",
            "figures": {
                "eigenvalues": [3.0, 1.0],
                "directions": [{EVIL: 0.7, "b": 0.3}, {"b": 1.0}],
            },
        },
        {"look": "sharpness", "name": "stable-rate", "figures": {"plain": 0.66, "momentum": 1.2}},
        {
            "look": "spectrum",
            "name": "spectrum",
            "figures": {"at": [-1.0, 0.0, 3.0], "density": [0.0, 5.0, 1e-3]},
        },
    ],
    "words": {
        language: {
            "sentence": EVIL,
            "titles": {"sharpness": EVIL},
            "facts": [EVIL, "b", "c"],
            "left_out": [EVIL],
        }
        for language in LANGUAGES
    },
}


def recorded(tmp_path, document):
    run = make_run()
    (tmp_path / "examination.json").write_text(json.dumps(document))
    run.recording.folder = tmp_path
    return run


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_section_has_all_pictures_and_escapes_everything(tmp_path, language):
    run = recorded(tmp_path, DOCUMENT)
    taken = check(page(run.verdict, run.recording, language))
    assert any(a.get("id") == "geometry" for a in taken.of("section"))
    names = taken.text("title")
    view = geometry_view(DOCUMENT, language, lambda wish: wish, 0.1)
    assert view is not None and len(view.pictures) == 3
    assert all(p.title in names for p in view.pictures)
    alone = examination_page(DOCUMENT, EVIL, language)
    assert "<script" not in alone and "onerror=alert(1)>" not in alone


@pytest.mark.parametrize(
    "document",
    [
        {"schema": 1},
        {"schema": 1, "facts": 3, "words": [], "seconds": "x"},
        {"schema": 1, "examined": False, "why": {"en": EVIL, "zh": EVIL}},
        {"schema": 1, "examined": False},
        DOCUMENT | {"facts": [{"name": "spectrum", "figures": {"at": [0, float("nan")], "density": [1, 1]}}]},
        DOCUMENT | {"facts": [{"name": "stable-rate", "figures": {"plain": -1.0}}, None, "x"]},
        DOCUMENT
        | {"facts": [{"name": "sharpness", "figures": {"eigenvalues": [1], "directions": [{"a": 9}]}}]},
    ],
)
def test_a_damaged_document_costs_nothing_else(tmp_path, document):
    run = recorded(tmp_path, document)
    check(page(run.verdict, run.recording, "en"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "[" * 100_000])
def test_what_is_no_examination_leaves_no_section(tmp_path, text):
    run = recorded(tmp_path, {})
    (tmp_path / "examination.json").write_text(text)
    assert 'id="geometry"' not in page(run.verdict, run.recording, "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_format_has_one_line_of_the_examination(tmp_path, language):
    run = recorded(tmp_path, DOCUMENT)
    shown = {n: f.text_for(run.verdict, run.recording, language, None) for n, f in formats().items()}
    assert word("examination", language) in shown["terminal"] and "\x1b" not in shown["terminal"]
    assert f"- {word('examination', language)}: " in shown["markdown"] and "<script>" not in shown["markdown"]
    assert json.loads(shown["json"])["examination"] == {"examined": True, "text": EVIL}


@pytest.mark.parametrize(
    "document", [{"schema": 1, "examined": False, "why": {"en": "it is gone"}}, {"schema": 1}]
)
def test_why_there_is_no_examination_is_said_as_well(tmp_path, document):
    run = recorded(tmp_path, document)
    shown = {n: f.text_for(run.verdict, run.recording, "en", None) for n, f in formats().items()}
    for text in shown.values():
        assert ("it is gone" in text) == ("why" in document)
    told = json.loads(shown["json"])["examination"]
    assert (told is None) == ("why" not in document)
