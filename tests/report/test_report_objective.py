"""The objective in every report: what each term adds, relative to what, above which floor; in both languages."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from fabricated_runs import make_run
from test_report_html import check

from losscope.core.text import LANGUAGES
from losscope.core.verdict import TermSummary
from losscope.report.format import formats
from losscope.report.page.build import page
from losscope.report.page.composition import composition_view
from losscope.report.page.context import Context
from losscope.report.view import term_line, term_lines
from losscope.rules.judge import judge_run
from losscope.rules.planted import PlantedTerm, falling, record

N = 600
SMOOTHED = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)
DATA = PlantedTerm(
    chance=2.303,
    chance_error=0.001,
    floor=SMOOTHED,
    values=falling(N, end=0.8, noise=0.0),
    contract={
        "task": "multi-class",
        "unit": "nats",
        "bounds": [SMOOTHED, None],
        "normaliser": math.log(10),
    },
)
PENALTY = PlantedTerm(
    kind="l2_penalty",
    coefficient=0.005,
    values=np.full(N, 84.0),
    contract={"task": "penalty", "unit": "", "bounds": [0.0, None]},
)


def recording(*terms):
    loss = np.sum([term.coefficient * term.values for term in terms], axis=0)
    return record(loss, terms=terms)


def rendered(name, terms=(DATA, PENALTY), language="en"):
    run = recording(*terms)
    return " ".join(formats()[name].render(judge_run(run), run, language).split())


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_tells_what_each_term_adds_and_what_the_total_cannot_fall_below(name):
    text = rendered(name)
    assert "above the floor 0.500: 17 % of the way between them is left" in text
    if name != "html":
        assert "adds 0.8" in text and "66 % of the total" in text
        assert "adds 0.42, 34 % of the total" in text
        assert "the total cannot fall below 0.500, whatever the parameters" in text
    assert "The total cannot fall below 0.5." in text
    assert "watch the data term" in text


def test_the_lines_in_chinese():
    run = recording(DATA, PENALTY)
    lines = term_lines(judge_run(run), run, "zh")
    assert lines[1] == ("l2_penalty", "84；贡献 0.42，占总值的 34 %")
    assert lines[-1] == ("", "无论参数取何值，总值都不可能低于 0.500")


def test_contributions_of_both_signs_have_no_shares_of_the_total():
    run = recording(DATA, replace(PENALTY, kind="reward", coefficient=-0.005))
    (_, first), (_, second) = term_lines(judge_run(run), run, "en")
    assert first.endswith("; adds 0.800") and second.endswith("; adds -0.42")


def test_a_single_term_adds_nothing_and_repeats_no_bound():
    run = recording(DATA)
    lines = term_lines(judge_run(run), run, "en")
    assert len(lines) == 1 and "adds" not in lines[0][1] and "cannot" not in lines[0][1]


def test_the_page_has_the_table_the_curves_and_the_comparisons():
    run = recording(DATA, PENALTY)
    for language in LANGUAGES:
        html = page(judge_run(run), run, language)
        check(html)
        section = html[html.index('id="objective"') : html.index('id="curves"')]
        assert "0.005 × 84" in section and "66 %" in section
        assert section.count("<figure") == 1
        for words in ("0.800 nats = 1.15 bits", "0.300 nats = 0.432 bits"):
            assert words in section
    english = page(judge_run(run), run, "en")
    for words in ("cross_entropy / chance 2.30", "l2_penalty / first value 84", "0.347 (1 is 2.30)"):
        assert words in english


def test_the_curves_are_divided_by_their_base():
    run = recording(DATA, PENALTY)
    found = composition_view(Context(judge_run(run), run, "en"))
    assert found is not None and found.figure is not None
    first, last = found.figure.table[0], found.figure.table[-1]
    assert first[1:] == ("0.999", "1") and last[1:] == ("0.347", "1")
    assert found.rows[-1][2] == "1.22"


@pytest.mark.parametrize(
    "terms",
    [
        (DATA,),
        (replace(DATA, contract={"value_is_progress": False}), PENALTY),
        (DATA, replace(PENALTY, kind="unknown(Mul ← x)", floor=None, contract={})),
        (replace(DATA, chance=None), replace(PENALTY, values=np.zeros(N))),
        (DATA, *(replace(PENALTY, coefficient=0.001 * k) for k in range(6))),
    ],
)
def test_every_page_is_valid(terms):
    run = recording(*terms)
    for language in LANGUAGES:
        check(page(judge_run(run), run, language))
        assert json.loads(judge_run(run).dumps(language))


def test_a_game_is_compared_with_nothing():
    game = replace(DATA, contract={**DATA.contract, "value_is_progress": False})
    text = rendered("html", (game, PENALTY))
    assert "its value does not measure progress" in text
    assert "above the floor" not in text and "cannot fall below" not in text
    assert 'class="gauge"' not in text
    assert "Terms in units" not in text


def test_a_term_that_was_only_measured_early_says_so():
    term = TermSummary(kind="mse", coefficient=1.0, reduction="mean", value=None, first=3.0)
    assert term_line(term, make_run().recording, "en") == "not measured near the end of the run"
    assert term_line(replace(term, first=None), make_run().recording, "en") == "not measured"


@pytest.mark.parametrize(
    ("value", "base", "progress", "expected"),
    [
        (0.5, 2.0, True, 0.25),
        (0.5, 0.0, True, None),
        (0.5, -1.0, True, None),
        (0.5, None, True, None),
        (None, 2.0, True, None),
        (0.5, 2.0, False, None),
        (-0.5, 2.0, True, -0.25),
    ],
)
def test_relative_values(value, base, progress, expected):
    term = TermSummary(kind="mse", coefficient=1.0, reduction="mean", value=value, value_is_progress=progress)
    assert term.relative(base) == expected
