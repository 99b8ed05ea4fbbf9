"""The sentence beside the sum: which term to watch, said only where it informs; values beside chance and floor."""

import math
from dataclasses import replace

import numpy as np
import pytest

from losscope.rules.comparison import compared
from losscope.rules.composition import composition
from losscope.rules.judge import judge_run
from losscope.rules.messages import join
from losscope.rules.planted import PlantedTerm, falling, flat, record
from losscope.rules.remark import remark
from losscope.rules.terms import terms

N = 600
SMOOTHED = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)
CLASSES = PlantedTerm(
    chance=2.303,
    chance_error=0.001,
    contract={"task": "multi-class", "unit": "nats", "bounds": [0.0, None]},
)
SQUARES = PlantedTerm(
    kind="mse",
    chance=30.0,
    chance_error=0.01,
    contract={"task": "regression", "unit": "", "bounds": [0.0, None]},
)
PENALTY = PlantedTerm(
    kind="l2_penalty", coefficient=0.005, contract={"task": "penalty", "unit": "", "bounds": [0.0, None]}
)


def run(*terms):
    """A recording whose loss is the sum of these terms; each falls to, or stays at, what its values say."""
    loss = np.sum([term.coefficient * term.values for term in terms], axis=0)
    return record(loss, terms=terms)


def to(term, end, start=2.3, **changes):
    return replace(term, values=falling(N, start=start, end=end, noise=0.0), **changes)


def at(term, level, **changes):
    return replace(term, values=np.full(N, float(level)), **changes)


def said(recording, language="en"):
    found = remark(composition(recording, "0"))
    return None if found is None else found.render(language).strip()


def test_the_penalty_and_the_data_term():
    recording = run(to(CLASSES, 0.31), at(PENALTY, 84.0))
    assert said(recording) == (
        "The penalty is 0.42 of the total 0.73: watch the data term, 0.31 nats (13 % of chance)."
    )
    assert said(recording, "zh") == "总值 0.73 中惩罚项占 0.42：请关注数据项，0.31 nats（随机水平的 13%）。"
    sentence = judge_run(recording).sentence
    assert sentence.render().startswith("Training works: the loss fell from ")
    assert sentence.render().endswith(f"has converged. {said(recording)}")
    assert sentence.render("zh").endswith(said(recording, "zh"))


def test_the_weighted_data_term_is_told_without_its_weight():
    recording = run(to(CLASSES, 0.31, coefficient=0.5), at(PENALTY, 84.0))
    assert said(recording) == (
        "The penalty is 0.42 of the total 0.575: watch the data term, 0.31 nats (13 % of chance)."
    )


def test_several_data_terms_are_told_together():
    recording = run(to(CLASSES, 0.31), to(SQUARES, 0.4), at(PENALTY, 84.0))
    assert said(recording) == "The penalty is 0.42 of the total 1.13: watch the data terms, 0.71 together."
    assert said(recording, "zh") == "总值 1.13 中惩罚项占 0.42：请关注各数据项，合计 0.71。"


@pytest.mark.parametrize(("size", "expected"), [(6.0, False), (8.0, True)])
def test_a_small_penalty_is_not_worth_a_sentence(size, expected):
    """0.03 of 0.34 is 9 %, 0.04 of 0.35 is 11 %."""
    assert (said(run(to(CLASSES, 0.31), at(PENALTY, size))) is not None) == expected


def test_a_term_that_the_sum_hides():
    recording = run(at(CLASSES, 2.0), to(SQUARES, 25.0, start=31.0))
    assert (
        said(recording) == "mse is 93 % of the total: watch cross_entropy by itself, 2 nats (87 % of chance)."
    )
    assert (
        said(recording, "zh") == "总值的 93% 来自 mse：请单独关注 cross_entropy，2 nats（随机水平的 87%）。"
    )


@pytest.mark.parametrize(
    "hidden",
    [
        at(CLASSES, 0.1),  # nearly learnt: nothing is missed by not watching it
        at(
            PlantedTerm(kind="load_balance", contract={"task": "distribution"}), 1.0
        ),  # no chance level: an aid
    ],
)
def test_a_hidden_term_that_needs_no_watching(hidden):
    assert said(run(hidden, to(SQUARES, 25.0, start=31.0))) is None


def test_two_terms_of_like_size_need_no_sentence():
    assert said(run(to(CLASSES, 0.5), to(SQUARES, 0.9))) is None


def test_what_the_total_cannot_fall_below():
    contract = {**CLASSES.contract, "bounds": [SMOOTHED, None]}
    recording = run(to(CLASSES, 0.8, floor=SMOOTHED, contract=contract), at(PENALTY, 84.0))
    assert said(recording) == (
        "The penalty is 0.42 of the total 1.22: watch the data term, 0.8 nats (35 % of chance, 0.3 nats above the "
        "floor). The total cannot fall below 0.5."
    )
    assert said(recording, "zh").endswith(
        "0.8 nats（随机水平的 35%，高于下限 0.3 nats）。总值不可能低于 0.5。"
    )
    alone = run(to(CLASSES, 0.8, floor=SMOOTHED, contract=contract), at(PENALTY, 1.0))
    assert said(alone) == "The total cannot fall below 0.5."
    assert "cannot" not in said(
        run(to(CLASSES, 0.8, floor=SMOOTHED), at(PENALTY, 84.0))
    )  # not proven: not said


@pytest.mark.parametrize(
    "terms",
    [
        (to(CLASSES, 0.31),),  # one term
        (to(CLASSES, 0.31), at(PENALTY, 84.0, coefficient=-0.005)),  # a reward
        (to(CLASSES, 0.31, contract={"value_is_progress": False}), at(PENALTY, 84.0)),
    ],
)
def test_no_sentence(terms):
    sentence = judge_run(run(*terms)).sentence.render()
    assert "watch" not in sentence and "cannot" not in sentence


def test_a_finding_has_the_sentence_to_itself():
    stuck = replace(CLASSES, values=flat(N))
    verdict = judge_run(run(stuck, at(PENALTY, 84.0)))
    assert verdict.state == "wrong"
    assert "penalty" not in verdict.sentence.render()


# --- a value in brackets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "chance", "floor", "words"),
    [
        (0.31, 2.303, 0.0, " (13 % of chance)"),
        (0.31, 2.303, None, " (13 % of chance)"),
        (6.9, 2.303, 0.0, " (3 times chance)"),
        (0.81, 2.303, 0.5, " (35 % of chance, 0.31 nats above the floor)"),
        (0.81, None, 0.5, " (0.31 nats above the floor)"),
        (0.4, 2.303, 0.5, " (17 % of chance)"),  # below the floor: not compared with it
        (0.31, None, 0.0, None),
        (0.31, None, None, None),
        (-1.2, -0.4, None, None),
        (-1.2, -0.4, -2.0, " (0.8 nats above the floor)"),
        (0.31, 0.0, 0.0, None),
    ],
)
def test_a_value_beside_chance_and_floor(value, chance, floor, words):
    term = terms(record(falling(), terms=[replace(CLASSES, chance=chance, floor=floor)]), "0")[0]
    found = compared(value, term)
    assert (None if found is None else found.render()) == words
    assert (found is None) == (words is None) or found.render("zh")


def test_the_sentence_of_a_single_smoothed_loss_tells_the_nats_above_the_floor():
    verdict = judge_run(record(falling(end=0.8, noise=0.0), terms=[replace(CLASSES, floor=SMOOTHED)]))
    assert "0.8 nats (35 % of chance, 0.3 nats above the floor) in 600 updates" in verdict.sentence.render()
    assert "0.8 nats（随机水平的 35%，高于下限 0.3 nats）" in verdict.sentence.render("zh")


def test_messages_are_joined_with_their_braces():
    odd = "a {x} b"
    from losscope.core.text import Text

    first = Text(en="{value}", zh="{value}")(value=odd)
    assert join(first, None, first).render("zh") == odd + odd
    assert join(first) is first
