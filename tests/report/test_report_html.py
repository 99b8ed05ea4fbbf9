"""The page: self-contained, escaped, well-formed, bounded in size, in both languages."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import numpy as np
import pytest
from fabricated_runs import finding, make_run, say

from losscope.core.finding import NotJudged, Where
from losscope.core.text import LANGUAGES, Text
from losscope.core.verdict import TermSummary
from losscope.recording.reader import Recording
from losscope.report.page.build import asset, for_script, page
from losscope.report.page.context import prose
from losscope.report.page.curves import held
from losscope.report.words import WORDS
from losscope.rules.judge import judge_run
from losscope.rules.rule import all_rules

VOID = {"meta", "link", "br", "input", "img", "hr"}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`&\u2028{{7*7}}\x00\ud800"


class Page(HTMLParser):
    """A page taken apart: elements with attributes, their texts, and whether every tag was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self, tag: str) -> str:
        return "".join(data for inside, data in self.texts if inside == tag)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def check(html: str) -> Page:
    """Everything that must hold for every page."""
    taken = Page(html)
    ids = [a["id"] for _, a in taken.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attributes in taken.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style"
            if name in ("href", "src", "xlink:href", "action"):
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, value)
                if value.startswith("#"):
                    assert value[1:] in ids, value
            if name in ("aria-labelledby", "for"):
                assert value is not None
                assert all(part in ids for part in value.split()), value
            if name in ("d", "x1", "y1", "cx", "cy", "points"):
                assert not re.search("nan|inf", str(value), re.IGNORECASE)
    assert len(taken.of("script")) == 2
    assert "@import" not in html
    assert "url(" not in html
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", html)
    return taken


def test_the_page_is_well_formed_and_self_contained() -> None:
    run = make_run()
    for language in LANGUAGES:
        taken = check(page(run.verdict, run.recording, language))
        assert taken.text("h1") == "The sentence."
        assert taken.of("html")[0]["lang"] == {"en": "en", "zh": "zh-Hans"}[language]


def test_the_policy_allows_exactly_our_style_and_script() -> None:
    run = make_run()
    html = page(run.verdict, run.recording)
    policies = [
        a["content"] for a in Page(html).of("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1 and policies[0] is not None
    rules = dict(part.strip().split(" ", 1) for part in policies[0].split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policies[0]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_the_order_of_the_design() -> None:
    run = make_run()
    ids = [a["id"] for a in check(page(run.verdict, run.recording)).of("section")]
    assert ids == [
        *(
            "verdict",
            "facts",
            "findings",
            "timeline",
            "objective",
            "curves",
            "layers",
            "passed",
            "unseen",
            "raw",
        )
    ]


def test_the_first_screen_names_cause_place_action_and_grade() -> None:
    run = make_run()
    html = page(run.verdict, run.recording)
    hero = html[html.index('id="verdict"') : html.index('id="facts"')]
    for words in (
        "train.py:41",
        "title of double-softmax",
        "remedy of double-softmax",
        "Strong evidence",
        "97 %",
    ):
        assert words in hero
    assert "loss-at-chance, floor-above-zero" in hero


def test_the_sentence_is_not_repeated_as_the_cause() -> None:
    run = make_run(sentence=Text(en="title of double-softmax.", zh="title of double-softmax。")())
    html = page(run.verdict, run.recording)
    hero = html[html.index('id="verdict"') : html.index('id="facts"')]
    assert hero.count("title of double-softmax") == 1


def test_the_top_finding_is_open_and_consequences_lie_inside_their_cause() -> None:
    run = make_run()
    html = page(run.verdict, run.recording)
    first = html.index('id="finding-double-softmax"')
    assert html[first:].index("<details open>") < html[first:].index("<summary>")
    assert html.count("<details open>") == 1
    inner = html.index('id="finding-loss-at-chance"')
    innermost = html.index('id="finding-floor-above-zero"')
    outside = html.index('id="finding-learning-rate-too-low"')
    assert first < inner < innermost < outside
    between = html[first:innermost]
    assert between.count("<article") - between.count("</article>") >= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_texts_come_out_escaped(language: Any) -> None:
    bad = finding(EVIL, title=say(EVIL), remedy=say(EVIL), where=Where(EVIL, 1), because_of=None)
    evidence = replace(bad.evidence[0], text=say(EVIL), expected=say(EVIL), label=EVIL)
    run = make_run(
        layers=[EVIL, "fine"],
        events=[
            {"event": "blind-spot", "what": EVIL, "why": EVIL, "step": 3},
            {"event": "non-finite", "what": EVIL, "origin": EVIL, "step": 7},
            {"event": "optimizer", "name": EVIL, "groups": [{"lr": 0.1}]},
            {"event": "anatomy", "expression": EVIL, "where": {"file": EVIL, "line": 3}},
            {"event": EVIL},
        ],
        run={"losscope": EVIL, "argv": [EVIL, EVIL], EVIL: {EVIL: EVIL}, "started": EVIL},
        sentence=say(EVIL),
        expression=EVIL,
        terms=(
            TermSummary(
                kind=EVIL, coefficient=1, reduction=EVIL, value=1.0, activation=EVIL, options={EVIL: EVIL}
            ),
        ),
        findings=(replace(bad, evidence=(evidence, bad.evidence[0])),),
        not_judged=((EVIL, say(EVIL)),),
        passed=(EVIL,),
    )
    html = page(run.verdict, run.recording, language)
    taken = check(html)
    assert not taken.of("img")
    assert "49" not in taken.text("h1")
    assert "<script>alert" not in html
    assert "\x00" not in html
    html.encode("utf-8")
    assert taken.text("h1").startswith("</script><script>alert(1)")
    data = re.search(r'<script type="application/json" id="verdict-json">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["sentence"].startswith("</script>")


def test_json_in_a_script_cannot_end_it() -> None:
    text = json.dumps({"a": "</script>\u2028&<!--"}, ensure_ascii=False)
    safe = for_script(text)
    assert not re.search("[<>&\u2028\u2029]", safe)
    assert json.loads(safe) == json.loads(text)


def test_size_of_a_long_run_with_many_layers() -> None:
    layers = [f"transformer.encoder.layers.{i}.self_attention.in_proj_weight" for i in range(300)]
    run = make_run(steps=100_000, layers=layers)
    html = page(run.verdict, run.recording)
    assert len(html.encode()) < 300_000
    assert "60 of 300 parameters" in html
    check(html)


def test_many_findings_and_much_evidence_stay_bounded() -> None:
    run = make_run(steps=100_000, findings=tuple(finding(f"code-{i}") for i in range(60)))
    assert len(page(run.verdict, run.recording).encode()) < 400_000


def test_values_that_are_not_finite_are_gaps() -> None:
    run = make_run(bad_from=200)
    html = page(run.verdict, run.recording)
    check(html)
    assert "not a finite number, first at update 200" in html


def test_a_loss_that_is_never_finite() -> None:
    for value in (np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0):
        run = make_run(loss=np.full(300, value))
        check(page(run.verdict, run.recording))


def test_a_run_without_any_data() -> None:
    verdict = replace(
        make_run().verdict, findings=(), terms=(), expression="", passed=(), state="not-enough-evidence"
    )
    html = page(verdict, Recording.from_memory({}))
    taken = check(html)
    ids = [a["id"] for a in taken.of("section")]
    assert ids == ["verdict", "facts", "findings", "objective", "unseen", "raw"]
    assert "No objective was read" in html


def test_a_circle_of_causes_loses_no_finding() -> None:
    run = make_run(
        findings=(finding("a", because_of="b"), finding("b", because_of="a"), finding("c", because_of="c"))
    )
    html = page(run.verdict, run.recording)
    for code in "abc":
        assert f'id="finding-{code}"' in html


def test_every_rule_on_its_own_planted_case_makes_a_page() -> None:
    """Real verdicts of real rules: every broken twin is judged and rendered."""
    for turn, code in enumerate(all_rules()):
        module = __import__("sys").modules[all_rules()[code].judge.__module__]
        recording = module.broken()
        verdict = judge_run(recording)
        assert not isinstance(verdict, NotJudged)
        check(page(verdict, recording, sorted(LANGUAGES)[turn % 2]))


def test_every_word_is_used_and_every_used_word_exists() -> None:
    root = resources.files("losscope.report")
    templates = [f for f in (root / "templates").iterdir() if f.name.endswith(".j2")]
    sources = [f.read_text("utf-8") for f in templates]
    for folder in ("", "page", "formats"):
        here = root / folder if folder else root
        sources += [
            f.read_text("utf-8") for f in here.iterdir() if f.name.endswith(".py") and f.name != "words.py"
        ]
    everything = "\n".join(sources).replace("'", '"')
    prefixes = ("state.", "severity.", "status.", "grade.", "trial.", "signal.", "legend.")
    unused = [key for key in WORDS if f'"{key}"' not in everything and not key.startswith(prefixes)]
    assert unused == []
    used = set(re.findall(r"""\bw\(["']([\w.-]+)["']""", everything))
    used |= set(re.findall(r"""\bword\(\s*"([\w.-]+)\"""", everything))
    assert used <= set(WORDS)


def test_both_languages_have_the_same_placeholders() -> None:
    for key, text in WORDS.items():
        assert sorted(re.findall(r"\{\w*\}", text.en)) == sorted(re.findall(r"\{\w*\}", text.zh)), key
        assert text.zh and text.en


def test_prose_marks_code() -> None:
    assert list(prose("a `b` c`")) == [("a ", False), ("b", True), (" c`", False)]


def test_a_value_recorded_on_change_is_held() -> None:
    steps, values = held(np.array([0, 10]), np.array([0.1, 0.01]), 30)
    assert steps.tolist() == [0, 10, 10, 30]
    assert values.tolist() == [0.1, 0.1, 0.01, 0.01]


def test_the_style_sheet_has_light_dark_print_and_narrow() -> None:
    style = asset("report.css")
    for rule in ("prefers-color-scheme:dark", "@media print", "max-width:520px", "prefers-reduced-motion"):
        assert rule in style
    assert style.count("{") == style.count("}")


def test_text_and_background_differ_enough() -> None:
    """WCAG 2.2 contrast of at least 4.5 for every colour of text, in both schemes."""
    style = asset("report.css")
    light, dark = style.split("prefers-color-scheme:dark")[:2]
    for scheme in (light, dark.split("*{")[0]):
        colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})[;}]", scheme))
        for name in ("ink", "soft", "accent", "good", "warn", "bad"):
            for background in ("card", "bg", "sunk"):
                assert contrast(colours[name], colours[background]) >= 4.5, (name, background)
        for name in ("c0", "c1", "c2", "c3"):
            assert contrast(colours[name], colours["card"]) >= 3, name


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
