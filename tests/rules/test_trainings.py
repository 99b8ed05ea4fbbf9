"""Several trainings in one script, one after another, are judged one by one."""

import numpy as np
import pytest

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run
from losscope.rules.trainings import MOST, judged, trainings


def curve(kind, n=300):
    noise = 0.02 * np.random.default_rng(0).standard_normal(n)
    fall = 0.3 + 2.0 * np.exp(-np.arange(n) / 40)
    return {
        "falls": fall + noise,
        "explodes": np.where(np.arange(n) > 150, np.nan, fall),
        "flat": 2.3 + noise,
    }[kind]


def recording(kinds, begins=None, counts=None):
    """One stream per kind; by default each begins when the last one has ended."""
    series = {}
    for i, kind in enumerate(kinds):
        loss = curve(kind, 300 if counts is None else counts[i])
        begin = 10.0 * i if begins is None else begins[i]
        series[signals.LOSS, str(i)] = loss
        series[signals.STEP_TIME, str(i)] = begin + 0.03 * np.arange(len(loss))
    broken = [str(i) for i, kind in enumerate(kinds) if kind == "explodes"]
    events = [{"event": "non-finite", "what": "loss", "stream": stream, "step": 151} for stream in broken]
    return Recording.from_memory(series, events)


def test_the_worst_training_is_shown():
    verdict = judge_run(recording(["falls", "falls", "explodes", "falls"]))
    assert verdict.state == "wrong" and verdict.streams == ("2",)
    assert str(verdict.sentence).startswith("Training 3 of 4, the others are no worse: ")
    assert verdict.sentence.render("zh").startswith("共 4 次训练，此为第 3 次")
    assert verdict.training.steps == 300


def test_good_ones_only_are_told_by_the_first():
    verdict = judge_run(recording(["falls"] * 3))
    assert verdict.state == "healthy" and verdict.streams == ("0",)
    assert "Training 1 of 3" in str(verdict.sentence)


def test_players_of_one_game_are_one_training():
    both = recording(["falls", "flat"], begins=[0.0, 0.01])
    assert trainings(both) == [("0", "1")]
    assert judge_run(both).streams == ()
    twice = recording(["falls", "flat", "flat", "falls"], begins=[0.0, 0.01, 20.0, 20.01])
    assert trainings(twice) == [("0", "1"), ("2", "3")]


def test_a_short_warm_up_is_no_training():
    assert trainings(recording(["flat", "falls"], counts=[20, 300])) == [("1",)]
    assert judge_run(recording(["flat", "falls"], counts=[20, 300])).streams == ()


def test_a_focused_recording_shows_its_streams_only():
    whole = recording(["falls", "explodes"])
    part = whole.focused(["0"])
    assert part.labels(signals.LOSS) == ["0"] and part.labels(signals.STEP_TIME) == ["0"]
    assert part.events_of("non-finite") == [] and part.events == []
    assert len(whole.events_of("non-finite")) == 1 and whole.labels(signals.LOSS) == ["0", "1"]
    assert whole.focused(()).labels(signals.LOSS) == ["0", "1"]


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, 500])
def test_of_very_many_some_are_judged(count):
    places = judged([("x",)] * count)
    assert len(places) == min(count, MOST)
    assert places[0] == 0 and places[-1] == count - 1


def test_a_fall_from_a_burst_is_no_fall():
    loss = np.concatenate([[2.3], 1e5 * np.exp(-np.arange(120) / 10) + 8.5])
    verdict = judge_run(
        Recording.from_memory({(signals.LOSS, "0"): loss, (signals.STEP_TIME, "0"): np.arange(121.0)})
    )
    assert verdict.state != "healthy"
    assert "works" not in str(verdict.sentence)
