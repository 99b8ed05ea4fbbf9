"""Sums are told per element in every format, and the cost of watching in seconds as well as per cent."""

import dataclasses
import json

import pytest
from fabricated_runs import make_run

from losscope.core.text import LANGUAGES
from losscope.core.verdict import TermSummary, Training
from losscope.report.format import formats
from losscope.report.view import term_line, training_line, watching_cost, watching_cost_and_start

SUM = TermSummary(
    kind="cross_entropy",
    coefficient=2.0,
    reduction="sum",
    value=32.0,
    chance=147.4,
    floor=0.0,
    unit="nats",
)


def anatomy(elements, coefficient=2.0, reduction="sum"):
    term = {"kind": "cross_entropy", "coefficient": coefficient, "reduction": reduction, "elements": elements}
    return [{"event": "anatomy", "stream": "0", "step": 0, "terms": [term]}]


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_a_sum_is_told_per_element_in_every_format(name):
    run = make_run(terms=(SUM,), events=anatomy(64))
    text = " ".join(formats()[name].render(run.verdict, run.recording, "en").split())
    assert "32 = 22 % of the chance level 147; 0.5 nats per element" in text


def test_the_value_per_element_in_both_languages():
    recording = make_run(events=anatomy(64)).recording
    assert [("0.5 nats" in term_line(SUM, recording, language)) for language in LANGUAGES] == [True, True]


@pytest.mark.parametrize(
    "events", [anatomy(None), anatomy(1), anatomy(64, coefficient=1.0), anatomy(64, reduction="mean")]
)
def test_nothing_is_said_per_element_where_it_is_not_known(events):
    assert term_line(SUM, make_run(events=events).recording, "en") == "32 = 22 % of the chance level 147"


def training(seconds, overhead):
    return Training(
        status="falling",
        steps=100,
        first_loss=2.0,
        last_loss=1.0,
        validation=None,
        overhead=overhead,
        seconds=seconds,
    )


def test_the_cost_of_watching_is_the_part_of_the_whole_that_is_not_the_script():
    assert watching_cost(training(seconds=4.05, overhead=0.08)) == "0.3 s (8.0 %)"  # 3.75 s + 0.3 s
    assert watching_cost(training(seconds=103.0, overhead=0.03)) == "3 s (3.0 %)"
    started = dataclasses.replace(training(seconds=4.05, overhead=0.08), start_seconds=0.25)
    assert watching_cost_and_start(started, "en") == "0.3 s (8.0 %), 0.25 s of it to start"
    assert watching_cost_and_start(dataclasses.replace(started, seconds=405.0), "en") == "30 s (8.0 %)"
    assert watching_cost(training(seconds=10.0, overhead=0.0)) == "0 s (0 %)"


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_tells_the_seconds(name):
    run = make_run(training=training(seconds=4.05, overhead=0.08))
    assert "0.3 s (8.0 %)" in " ".join(formats()[name].render(run.verdict, run.recording, "en").split())
    assert "0.3 s (8.0 %)" in training_line(run.verdict, "zh")


def test_the_json_keeps_the_plain_ratio():
    run = make_run(training=training(seconds=4.05, overhead=0.08))
    told = json.loads(formats()["json"].render(run.verdict, run.recording, "en"))
    assert told["training"]["overhead"] == 0.08
