"""Values that were recorded at changing strides: what is said of half the run is measured over half the run."""

import numpy as np
import pytest

from losscope.core.finding import NotJudged
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.curve import Curve, level, loss_curve
from losscope.rules.judge import judge_run
from losscope.rules.streams import evenly, loss_series

N = 4000
# (stride, until): of one in so many updates the loss is read, until that update; then updates that are passed over.
PLANS = {
    "denser at first": ([(1, 600), (3, 900), (7, 1500), (17, N)], 0),
    "no multiples of the stride": ([(1, 600), (7, N)], 3),
    "strides that are no multiples of each other": ([(3, 700), (7, 1400), (17, N)], 2),
    "few records late, fewer than one in twenty": ([(1, 2500), (79, N)], 0),
    "many changes": ([(1, 60), (3, 500), (37, N)], 5),
}


def curve_at(steps: np.ndarray) -> np.ndarray:
    """Falls by 0.1755 over the second half, and by far more over the first."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(N)[steps]
    return 0.5 + 1.5 * np.exp(-4.0 * steps / N) + noise


def recorded(plan: list[tuple[int, int]], skipped: int) -> Recording:
    steps, at = [], 0
    for stride, until in plan:
        steps += range(at, until, stride)
        at = max(steps[-1] + stride, until) + skipped
    taken = np.array(steps)
    clock = np.arange(N)
    return Recording.from_memory(
        {(signals.LOSS, "0"): (taken, curve_at(taken)), (signals.STEP_TIME, "0"): (clock, 0.01 * clock)}
    )


def judged(recording: Recording) -> Curve:
    found = loss_curve(recording)
    assert not isinstance(found, NotJudged), found.why
    return found


@pytest.fixture(scope="module")
def whole() -> Curve:
    return judged(recorded([(1, N)], 0))


@pytest.mark.parametrize("name", PLANS)
def test_the_fall_over_the_last_half_is_that_of_the_whole_record(name: str, whole: Curve) -> None:
    found = judged(recorded(*PLANS[name]))
    assert whole.trend.change.value == pytest.approx(-0.163, abs=0.005)
    assert found.trend.change.value == pytest.approx(whole.trend.change.value, rel=0.15)
    assert found.window == pytest.approx(N / 2, rel=0.06)
    assert found.last == pytest.approx(whole.last, abs=0.01)


def test_the_text_counts_updates_not_records() -> None:
    verdict = judge_run(recorded(*PLANS["denser at first"]))
    (found,) = [f for f in verdict.findings if f.code == "still-falling"]
    assert found.title.values["window"] > 1900
    assert f"over the last {found.title.values['window']} updates" in found.title.render()
    assert f"最后 {found.title.values['window']} 次更新" in found.title.render("zh")
    assert found.evidence[0].value == pytest.approx(-0.163, rel=0.15)


def test_a_hole_in_the_record_does_not_cost_the_rest() -> None:
    """A seventh of the run was not seen; spacing by that hole would leave seven values."""
    steps = np.concatenate([np.arange(2000), np.arange(2600, N)])
    kept = evenly(Series.of(steps, curve_at(steps)))
    assert len(kept) == len(steps)


def test_what_is_even_already_is_left_alone() -> None:
    for stride in (1, 7):
        steps = np.arange(3, N, stride)
        series = Series.of(steps, curve_at(steps))
        assert evenly(series) is series
    backwards = Series.of([5, 1, 9, 2], [1.0, 2.0, 3.0, 4.0])
    assert evenly(backwards) is backwards
    assert len(evenly(Series.of([1, 1, 1], [0.0, 0.0, 0.0]))) == 3
    assert len(evenly(Series.of([], []))) == 0


@pytest.mark.parametrize("name", [*PLANS])
def test_the_sentence_and_the_facts_say_the_same_levels(name: str) -> None:
    recording = recorded(*PLANS[name])
    verdict = judge_run(recording)
    told = verdict.training.level
    assert told is not None and told == level(loss_series(recording, "0"))
    assert 80 <= told.window <= 300  # a twentieth of the run, as far as it was recorded
    assert told.last == pytest.approx(float(curve_at(np.arange(N - N // 20, N)).mean()), abs=0.02)
    assert f"to {told.last:.3g}" in verdict.sentence.render()
