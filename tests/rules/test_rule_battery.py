"""One battery for every rule: it fires on its broken twin, is silent on its healthy one, and is documented."""

import json
import subprocess
import sys
from string import Formatter

import pytest

from losscope.core.finding import Finding, NotJudged
from losscope.core.registry import discover
from losscope.core.text import LANGUAGES, Text
from losscope.recording.reader import Recording
from losscope.recording.signals import all_signals
from losscope.rules.judge import apply, judge_run
from losscope.rules.rule import SECTIONS, all_rules, documentation, sections

MODULES = {rule.code: sys.modules[name] for name, rule in discover("losscope.rules", "RULE").items()}
RULES = all_rules()
EVERY = pytest.mark.parametrize("code", sorted(RULES))


def findings_of(outcome) -> list[Finding]:
    assert isinstance(outcome, list), str(outcome.why)
    return outcome


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@EVERY
def test_fires_on_the_broken_twin(code):
    found = findings_of(apply(RULES[code], MODULES[code].broken()))
    assert [f.code for f in found] == [code]
    assert 0.5 <= found[0].confidence <= 1.0
    assert found[0].severity == RULES[code].severity


@EVERY
def test_is_silent_on_the_healthy_twin_and_so_is_every_other_complaint(code):
    recording = MODULES[code].healthy()
    outcome = apply(RULES[code], recording)
    assert isinstance(outcome, NotJudged) or outcome == []
    complaints = [f.code for f in judge_run(recording).findings if f.severity != "info"]
    assert complaints == []


@EVERY
def test_the_broken_twin_is_the_top_cause_of_its_own_run(code):
    findings = judge_run(MODULES[code].broken()).findings
    same = [f.code for f in findings if f.severity == RULES[code].severity]
    assert same[0] == code or RULES[code].severity == "info"
    assert next(f for f in findings if f.code == code).because_of is None


@EVERY
def test_texts_fill_in_both_languages_and_say_something(code):
    for finding in findings_of(RULES[code].judge(MODULES[code].broken())):
        for language in LANGUAGES:
            told = json.dumps(finding.to_json(language), ensure_ascii=False)
            assert "{" not in finding.title.render(language)
            assert finding.title.render(language).strip() and finding.remedy.render(language).strip()
            assert finding.evidence and all(e.text.render(language).strip() for e in finding.evidence)
            assert "NaN" not in finding.title.render(language).replace("NaN or", "").replace("NaN 或", ""), (
                told
            )
        assert all(e.signal in all_signals() for e in finding.evidence)


def all_texts():
    for name, module in sorted(sys.modules.items()):
        if name.startswith("losscope.rules."):
            for key, value in vars(module).items():
                kept = value.values() if isinstance(value, dict) else [value]
                yield from ((f"{name}.{key}", text) for text in kept if isinstance(text, Text))


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(n, t, id=f"{n}-{i}") for i, (n, t) in enumerate(all_texts())]
)
def test_every_text_has_the_same_values_in_both_languages(name, text):
    def core(found):
        return {part.removesuffix("_zh") for part in found}

    assert core(placeholders(text.en)) == core(placeholders(text.zh)) or placeholders(text.zh) <= {
        *placeholders(text.en),
        *(f"{p}_zh" for p in placeholders(text.en)),
    }


@EVERY
def test_reference_page_has_its_sections_in_order(code):
    found = sections(documentation(code))
    assert tuple(found)[1:] == SECTIONS
    assert all(found.values())
    assert documentation(code).startswith(f"``{code}``: ")


@EVERY
def test_consequences_are_codes_of_rules_and_never_the_rule_itself(code):
    consequences = RULES[code].consequences
    assert set(consequences) <= set(RULES) - {code}
    assert list(consequences) == sorted(set(consequences))


def test_no_two_rules_explain_each_other_even_through_others():
    def explained(code, seen):
        return {c for c in RULES[code].consequences if c not in seen}

    for code in RULES:
        reached, frontier = set(), {code}
        while frontier:
            frontier = {c for f in frontier for c in explained(f, reached)}
            reached |= frontier
        assert code not in reached


@EVERY
def test_an_empty_recording_and_a_bare_loss_are_never_an_internal_fault(code):
    for recording in (
        Recording.from_memory({}),
        Recording.from_memory({("loss", "0"): [1.0]}),
        Recording.from_memory({("loss", "0"): [float("nan")] * 50}),
        Recording.from_memory({("loss", "0"): [1.0] * 400}),
        Recording.from_memory({("loss", "0"): [float("inf"), 1.0] * 200}),
        Recording.from_memory({("loss", "0"): [1e300, -1e300] * 200}),
    ):
        outcome = apply(RULES[code], recording)
        if isinstance(outcome, NotJudged):
            assert "fault" not in outcome.why.render("en")


def test_the_battery_notices_a_rule_that_never_fires_and_one_that_always_does():
    """Planted wrong versions of a rule, to show that the two main tests can fail."""
    from dataclasses import replace

    module = MODULES["double-softmax"]
    blind = replace(RULES["double-softmax"], judge=lambda recording: [])
    assert apply(blind, module.broken()) == []
    always = apply(RULES["double-softmax"], module.broken())
    shouting = replace(RULES["double-softmax"], judge=lambda recording: always)
    assert apply(shouting, module.healthy()) != []


def test_the_room_is_free_of_torch():
    code = (
        "import sys; from losscope.rules.judge import judge_run; from losscope.rules import double_softmax as m; "
        "judge_run(m.broken()); print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_a_rule_lies_in_the_file_of_its_code() -> None:
    """``--select`` and ``--ignore`` know the codes by the names of the files, without importing them."""
    for module, rule in discover("losscope.rules", "RULE").items():
        assert module.rpartition(".")[2].replace("_", "-") == rule.code
