"""The verdict: states, sentence, summary, ordering, faults of rules."""

import json

import numpy as np
import pytest

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules import (
    diverging_loss,
    double_softmax,
    judge,
    learning_rate_too_high,
    non_finite,
    overfitting,
    value_is_not_progress,
)
from losscope.rules.causes import explain_symptoms, order
from losscope.rules.judge import judge_run
from losscope.rules.planted import PlantedTerm, every, falling, flat, optimizer, record
from losscope.rules.rule import Rule

SOME = Text(en="x", zh="x")


def ended(status, loss=None, **fields):
    """A run whose script ended in some other way than by itself."""
    series = {(signals.LOSS, "0"): every(1, len(loss), loss)} if loss is not None else {}
    events = [{"kind": "run-start", "argv": ["train.py"], "script": "train.py"}]
    if status != "killed":
        events.append({"kind": "script-end", "status": status, **fields})
    return Recording.from_memory(series, events, {})


def test_a_healthy_run():
    verdict = judge_run(record(falling(), validation=[1.0, 0.5, 0.2, 0.15, 0.12, 0.1, 0.11]))
    assert verdict.state == "healthy"
    assert verdict.sentence.render() == (
        "Training works: the loss fell from 2.19 to 0.0488 nats (2.1 % of chance) in 600 updates and has converged."
    )
    assert verdict.training.status == "converged"
    assert (verdict.training.steps, verdict.training.validation.best) == (600, 0.1)
    assert verdict.terms[0].skill == pytest.approx(0.978, abs=0.005)
    assert "double-softmax" in verdict.passed


def test_the_verdict_is_valid_json_in_both_languages():
    for language in ("en", "zh"):
        told = json.loads(judge_run(non_finite.broken()).dumps(language))
        assert told["state"] == "wrong"
        assert told["training"]["last_loss"] is None


def test_states():
    assert judge_run(double_softmax.broken()).state == "wrong"
    assert judge_run(overfitting.broken()).state == "suspicious"
    assert judge_run(record(falling(12))).state == "not-enough-evidence"
    assert judge_run(record(falling(40))).state == "healthy"


def test_a_fault_is_told_even_in_a_short_run():
    loss = falling(12)
    loss[5:] = np.nan
    verdict = judge_run(record(loss))
    assert verdict.state == "wrong"
    assert "update 5" in verdict.sentence.render()


def test_nothing_seen():
    verdict = judge_run(ended("finished"))
    assert verdict.state == "not-enough-evidence"
    assert verdict.sentence.render() == "No training was seen: no backward pass through a loss was recorded."
    assert (verdict.training.steps, verdict.training.first_loss, verdict.terms) == (0, None, ())


def test_only_evaluation_seen():
    recording = Recording.from_memory({(signals.EVALUATION_LOSS, "cross_entropy"): [0.5]}, [], {})
    assert "only evaluation of a loss without gradient" in judge_run(recording).sentence.render()


@pytest.mark.parametrize(
    ("status", "fields", "words"),
    [
        (
            "exception",
            {"exception": "ValueError: shapes {2, 3}"},
            "ended with an error: ValueError: shapes {2, 3}.",
        ),
        ("interrupted", {}, "was interrupted."),
        ("exit", {"exit_code": 3}, "exited with status 3."),
        ("killed", {}, "killed or is still running."),
    ],
)
def test_a_run_that_did_not_finish_is_still_judged(status, fields, words):
    verdict = judge_run(ended(status, falling(), **fields))
    assert verdict.state == "healthy"
    assert "the loss fell from" in verdict.sentence.render()
    assert words in verdict.sentence.render()
    assert verdict.sentence.render("zh")


def test_an_ordinary_exit_is_not_mentioned():
    assert "status" not in judge_run(ended("exit", falling(), exit_code=0)).sentence.render()


def test_select_and_ignore():
    recording = double_softmax.broken()
    assert [f.code for f in judge_run(recording, select=["double-softmax"]).findings] == ["double-softmax"]
    assert "double-softmax" not in [f.code for f in judge_run(recording, ignore=["double-softmax"]).findings]


def test_a_rule_that_raises_stops_nothing(monkeypatch):
    def fail(recording):
        raise RuntimeError("boom")

    rules = {**judge.all_rules(), "faulty": Rule(code="faulty", severity="error", title=SOME, judge=fail)}
    monkeypatch.setattr(judge, "all_rules", lambda: rules)
    verdict = judge_run(double_softmax.broken())
    assert verdict.findings[0].code == "double-softmax"
    assert {c: w.render() for c, w in verdict.not_judged}["faulty"] == "internal fault: RuntimeError: boom"


def test_two_objectives_in_alternation_are_not_judged_on_their_curves():
    verdict = judge_run(value_is_not_progress.broken())
    assert verdict.state == "healthy"
    assert {"diverging-loss", "loss-at-chance", "converged"} <= {code for code, _ in verdict.not_judged}


def test_main_stream_is_the_one_with_most_updates():
    series = {(signals.LOSS, "1"): every(1, 900, falling(900, start=9.0))}
    assert judge_run(record(falling(300), series=series)).training.steps == 900


def test_the_stated_overhead_is_against_the_script_alone():
    recording = Recording.from_memory(
        {(signals.LOSS, "0"): falling()}, [], {"script_seconds": 100.0, "watch_seconds": 2.0}
    )
    assert judge_run(recording).training.overhead == pytest.approx(0.02)
    assert judge_run(recording).training.seconds == pytest.approx(102.0)


def finding(code, severity="error", confidence=0.9):
    evidence = Evidence(text=SOME(), signal="loss", value=1.0, expected=SOME())
    return Finding(
        code=code, severity=severity, confidence=confidence, title=SOME(), evidence=(evidence,), remedy=SOME()
    )


def rules(**consequences):
    return {
        code: Rule(code=code, severity="error", title=SOME, judge=lambda r: [], consequences=explained)
        for code, explained in consequences.items()
    }


def filed(findings, table):
    return {f.code: f.because_of for f in order(explain_symptoms(findings, table))}


def test_chains_end_at_the_root():
    table = rules(a=("b",), b=("c",), c=())
    assert filed([finding("c"), finding("b"), finding("a")], table) == {"a": None, "b": "a", "c": "a"}


def test_a_missing_link_explains_nothing():
    assert filed([finding("c"), finding("a")], rules(a=("b",), b=("c",), c=())) == {"a": None, "c": None}


def test_two_that_explain_each_other_make_no_cycle():
    table = rules(a=("b",), b=("a",))
    assert filed([finding("a", confidence=0.7), finding("b", confidence=0.9)], table) == {"b": None, "a": "b"}


def test_three_in_a_ring_make_no_cycle():
    table = rules(a=("b",), b=("c",), c=("a",))
    told = filed(
        [finding("a", confidence=0.9), finding("b", confidence=0.8), finding("c", confidence=0.7)], table
    )
    assert told == {"a": None, "b": "a", "c": "a"}


@pytest.mark.parametrize("weak", [finding("a", severity="info"), finding("a", confidence=0.4)])
def test_context_and_guesses_are_no_causes(weak):
    assert filed([weak, finding("b")], rules(a=("b",), b=()))["b"] is None


def test_order_is_causes_then_severity_then_what_they_explain():
    table = rules(a=("s",), b=(), w=(), s=())
    found = [finding("s"), finding("w", "warning", 1.0), finding("b", confidence=0.95), finding("a")]
    assert [f.code for f in order(explain_symptoms(found, table))] == ["a", "b", "w", "s"]


def test_divergence_by_step_size_is_one_cause_with_its_chain():
    findings = judge_run(learning_rate_too_high.broken()).findings
    assert findings[0].code == "learning-rate-too-high"
    assert {f.because_of for f in findings if f.code in {"diverging-loss", "loss-at-chance"}} == {
        "learning-rate-too-high"
    }


def test_non_finite_after_divergence_has_the_step_size_as_its_cause():
    loss = 2.3 * np.exp(np.arange(200) / 8)
    loss[150:] = np.nan
    series = {(signals.UPDATE_RATIO, "0"): every(20, 200, np.geomspace(0.05, 500, 10))}
    verdict = judge_run(record(loss, series=series, events=[optimizer()]))
    assert verdict.findings[0].code == "learning-rate-too-high"
    assert {f.code: f.because_of for f in verdict.findings}["non-finite"] == "learning-rate-too-high"
    assert verdict.training.status == "diverged"


def test_status_words():
    assert judge_run(diverging_loss.broken()).training.status == "diverged"
    assert judge_run(record(flat())).training.status == "stuck"
    assert judge_run(record(falling(1800)[:240])).training.status == "falling"
    assert judge_run(record(falling(20))).training.status == "too-short"
    fine_tuned = record(flat(level=0.4), terms=[PlantedTerm(chance=2.303)])
    assert judge_run(fine_tuned).training.status == "converged"
