"""Numbers in words: known answers, and no sentence that is false for any input."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.report.values import duration, in_unit, in_words, number, percent, standing

ANY = st.one_of(st.none(), st.floats(), st.floats(-10, 10), st.sampled_from([0.0, 2.302585, 0.5, -0.4]))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.302585, "2.30"),
        (2.3, "2.3"),
        (0.0, "0"),
        (-0.0, "0"),
        (9.999, "10.0"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (1235.5, "1,236"),
        (0.00123, "0.00123"),
        (1.23456e-7, "1.23e-7"),
        (1e-7, "1e-7"),
        (123456.7, "1.23e5"),
        (109386.0, "109,386"),
        (math.nan, "NaN"),
        (-math.inf, "-∞"),
        (None, "–"),
        (-0.31, "-0.31"),
    ],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(-1e307, 1e307), st.integers(2, 5))
def test_a_shown_number_is_within_half_a_digit(value: float, digits: int) -> None:
    shown = float(number(value, digits).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.51 * 10 ** (1 - digits), abs=1e-320)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.134, "13 %"),
        (0.0999, "10 %"),
        (0.0123, "1.2 %"),
        (1e-6, "<0.1 %"),
        (0.0, "0 %"),
        (12.0, "1,200 %"),
        (math.nan, "NaN"),
        (None, "–"),
    ],
)
def test_percentages(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.42, "0.42 s"),
        (12.4, "12 s"),
        (59.7, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (7499.0, "2 h 04 min"),
        (-1.0, "–"),
        (math.nan, "–"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "chance", "floor", "words"),
    [
        (0.31, 2.302585, 0.0, "0.31 nats = 13 % of the chance level 2.30"),
        (0.31, 2.302585, None, "0.31 nats = 13 % of the chance level 2.30"),
        (
            0.81,
            2.302585,
            0.5,
            "0.81 nats = 35 % of the chance level 2.30, and 0.31 nats above the floor 0.5: 17 % of the way between "
            "them is left",
        ),
        (0.31, 2.302585, 0.5, "0.31 nats lies below the floor 0.5: it cannot be a mean over these targets"),
        (
            0.501,
            2.302585,
            0.5,
            "0.501 nats, practically at the floor 0.5: there is hardly anything left to gain",
        ),
        (0.001, 2.302585, 0.0, "0.001 nats = <0.1 % of the chance level 2.30"),
        (0.0, 2.302585, 0.0, "0 nats, practically at the floor 0: there is hardly anything left to gain"),
        (0.0199, 2.302585, 0.0, "0.0199 nats = 0.9 % of the chance level 2.30"),
        (2.31, 2.302585, 0.0, "2.31 nats, at the chance level 2.30: no better than a constant answer"),
        (2.5, 2.302585, 0.0, "2.5 nats, 0.197 above the chance level 2.30: worse than a constant answer"),
        (7.0, 2.302585, 0.0, "7 nats = 3.0× the chance level 2.30: worse than a constant answer"),
        (-1.2, -0.4, None, "-1.2 nats, 0.8 below the chance level -0.4"),
        (0.2, -0.4, None, "0.2 nats, 0.6 above the chance level -0.4: worse than a constant answer"),
        (-1.0, 1.0, -3.0, "-1 nats; 50 % of the way from the chance level 1 to the floor -3 is left"),
        (0.31, None, None, "0.31 nats"),
        (0.31, None, 0.0, "0.31 nats"),
        (0.81, None, 0.5, "0.81 nats, which is 0.31 nats above the floor 0.5"),
        (
            0.0,
            0.0,
            0.0,
            "0 nats; the chance level 0 is already the floor, so these targets leave nothing to learn",
        ),
        (
            1.0,
            0.5,
            2.0,
            "1 nats; the chance level 0.5 and the floor 2 contradict each other, so it is not compared",
        ),
        (math.nan, 2.3, 0.0, "NaN: not a finite number, so it says nothing about progress"),
        (0.31, math.nan, math.inf, "0.31 nats"),
        (None, 2.3, 0.0, "not measured"),
    ],
)
def test_a_value_in_words(value: float | None, chance: float | None, floor: float | None, words: str) -> None:
    assert in_words(value, chance=chance, floor=floor, unit="nats") == words


@given(ANY, ANY, ANY, st.sampled_from(["en", "zh"]))
def test_no_input_makes_nonsense(
    value: float | None, chance: float | None, floor: float | None, language
) -> None:
    words = in_words(value, chance=chance, floor=floor, unit="nats", language=language)
    assert not re.search(r"nan|inf|-\d[\d.,]* %|\{", words)
    if "%" in words and "of the chance level" in words:
        share = float(words.split("= ")[1].split(" %")[0].replace(",", "").replace("<", ""))
        assert value is not None and chance is not None
        assert chance > 0
        assert 0 <= share <= 100


def naive_words(value: float, chance: float) -> str:
    """The planted wrong version: a ratio, whatever the signs."""
    return f"{value} = {100 * value / chance:.0f} % of the chance level {chance}"


def test_the_naive_ratio_would_be_nonsense() -> None:
    assert "300 %" in naive_words(-1.2, -0.4)  # three times better looks three times worse
    assert "%" not in in_words(-1.2, chance=-0.4)


@given(st.floats(0.1, 10), st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_standing_does_not_depend_on_scale(value: float, scale: float, floor: float) -> None:
    chance = floor + 4.0
    here = standing(value, chance, floor)
    assert standing(value * 4, chance * 4, floor * 4) == here


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (math.log(2), "nats", "0.693 nats = 1 bits"),
        (2.302585, "nats", "2.30 nats = 3.32 bits"),
        (0.0, "nats", "0 nats"),
        (-0.31, "nats", "-0.31 nats = -0.447 bits"),
        (0.25, "", "0.25"),
        (math.nan, "nats", "NaN"),
        (None, "nats", "–"),
    ],
)
def test_a_value_in_its_unit_and_in_bits(value: float | None, unit: str, shown: str) -> None:
    assert in_unit(value, unit) == shown
