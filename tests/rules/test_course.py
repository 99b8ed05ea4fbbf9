"""Status, state and sentence of one run never contradict one another."""

import numpy as np
import pytest

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.course import STATUS
from losscope.rules.judge import judge_run
from losscope.rules.planted import TEN_CLASSES, PlantedTerm, every, falling, flat, normal, record
from losscope.rules.sentence import _WORKS

UNKNOWN = PlantedTerm(kind="mse", chance=None, floor=None)
START = {"kind": "run-start", "argv": ["train.py"], "script": "train.py"}
ANATOMY = {"kind": "anatomy", "stream": "0", "step": 0, "terms": [{"kind": "mse", "coefficient": 1.0}]}


def ended(loss, *events):
    return judge_run(
        Recording.from_memory({(signals.LOSS, "0"): every(1, len(loss), loss)}, [START, *events])
    )


def far_above_chance(n=60):
    """From 35.8 to 13.5 without a trend beyond its noise, where a constant answer would have 1.6."""
    term = PlantedTerm(kind="mse", chance=1.6, chance_error=0.01)
    loss = 14 * np.exp(0.8 * normal(n, 5))
    loss[0] = 35.8
    return judge_run(record(loss, terms=[term]))


def test_a_loss_far_above_chance_neither_works_nor_is_healthy():
    verdict = far_above_chance()
    assert (verdict.state, verdict.training.status) == ("not-enough-evidence", "stuck")
    said = verdict.sentence.render()
    assert "not yet better than a constant answer" in said
    assert "times chance" in said
    assert "%" not in said


def test_a_loss_that_falls_above_chance_is_not_healthy_either():
    loss = np.linspace(36, 13.5, 90) * np.exp(0.02 * normal(90, 1))
    verdict = judge_run(record(loss, terms=[PlantedTerm(kind="mse", chance=1.6, chance_error=0.01)]))
    assert (verdict.state, verdict.training.status) == ("not-enough-evidence", "falling")
    assert "works" not in verdict.sentence.render()


def test_stuck_without_a_cause():
    verdict = judge_run(record(flat(150, noise=0.2), terms=[UNKNOWN]))
    assert (verdict.state, verdict.training.status) == ("not-enough-evidence", "stuck")
    assert "has not fallen beyond its noise" in verdict.sentence.render()
    assert "没有出现" in verdict.sentence.render("zh")


def shapes(seed):
    """Short and long, falling, flat, rising again, noisy: whatever the tests may decide."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([31, 34, 58, 90, 300]))
    level = 0.3 + 2.0 * rng.uniform(0, 1) * np.exp(-np.arange(n) / (n * 10 ** rng.uniform(-2, 0)))
    level += rng.choice([0.0, 0.5]) * np.maximum(0, np.arange(n) / n - 0.5)
    term = TEN_CLASSES if seed % 2 else UNKNOWN
    return record(level * np.exp(10 ** rng.uniform(-3, -0.2) * rng.standard_normal(n)), terms=[term])


def test_status_and_sentence_come_from_one_decision():
    seen = set()
    for seed in range(0, 300, 3):
        verdict = judge_run(shapes(seed))
        status, said = verdict.training.status, verdict.sentence.render()
        seen.add(status)
        if status == "converged":
            assert "noise" not in said
        if "converged" in {f.code for f in verdict.findings} and verdict.state == "healthy":
            assert status == "converged"
        if status in {"stuck", "diverged", "oscillating", "too-short"}:
            assert "Training works" not in said
        if status in {"stuck", "diverged", "too-short"}:
            assert verdict.state != "healthy"
        if "Training works" in said:
            assert verdict.state == "healthy"
    assert {"converged", "falling", "stuck", "oscillating"} <= seen


def test_every_course_has_its_status_and_its_words():
    told_elsewhere = {"unseen", "too-short", "diverged", "swinging", "aimless", "aimless-fall", "unjudged"}
    assert set(STATUS) == set(_WORKS) | told_elsewhere


def test_a_curve_that_was_recorded_too_sparsely_is_not_called_aimless():
    steps = np.arange(0, 600, 50)
    recording = Recording.from_memory({(signals.LOSS, "0"): (steps, falling(600)[::50])}, [START])
    verdict = judge_run(recording)
    assert (verdict.state, verdict.training.status) == ("not-enough-evidence", "too-short")
    assert "does not measure progress" not in verdict.sentence.render()
    assert "only 12 losses were recorded" in verdict.sentence.render()


def test_a_run_killed_before_its_first_losses_were_written():
    said = judge_run(Recording.from_memory({}, [START, ANATOMY])).sentence.render()
    assert said.startswith("Training had begun, but was cut off before its first losses were written")
    assert "was killed or is still running" in said
    assert "no backward pass" not in said
    finished = {"kind": "script-end", "status": "finished", "exit_code": 0}
    assert "Training had begun" not in judge_run(
        Recording.from_memory({}, [START, ANATOMY, finished])
    ).sentence.render("en")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("killed-by-exit", 7, "with status 7 (os._exit)."),
        ("killed-by-exit", 0, None),
        ("killed-by-exit", None, None),
        ("finished", 3, "exited with status 3."),
        ("finished", 0, None),
        ("exit", 4, "exited with status 4."),
    ],
)
def test_how_a_script_ended_is_told_where_its_code_is_not_zero(status, code, words):
    said = ended(falling(), {"kind": "script-end", "status": status, "exit_code": code}).sentence.render()
    assert (words in said) if words else ("status" not in said)
