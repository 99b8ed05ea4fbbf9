"""Each trial confirms a planted fault and refutes a planted wrong hypothesis; what it says reaches the verdict."""

import json

import pytest
import torch
from planted_faults import CASES, IN_THOROUGH
from planted_runs import classes, kept
from torch import nn

import losscope
from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.recording.reader import Recording
from losscope.recording.trials_file import FILE, Trials, Tried, document, read_trials
from losscope.rules.judge import judge_run
from losscope.rules.learning_rate_too_high import broken
from losscope.trials.replay import Replay
from losscope.trials.trial import all_trials, trials_of
from losscope.watching import session


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr("losscope.watching.deep.compiled", lambda: False)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.thorough] if c in IN_THOROUGH else []) for c in CASES]
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_trial_answers(case, monkeypatch):
    name, code, outcome = case.split(" ")[:3]
    monkeypatch.setattr("losscope.trials.arms._LOOKS", 1)  # points of the curves, which cost time
    (trial,) = [t for t in trials_of(code) if t.name == name]
    window = kept(CASES[case])
    found = window.found if trial.early else window.found[::-1]
    replay = Replay(found[0])
    before = [t.clone() for t in (*replay.whole.parameters(), *replay.whole.buffers())]
    answer = trial.run(replay, code)
    assert answer.result.outcome == outcome, str(answer.text)
    assert answer.result.name == name
    low, high = answer.result.interval
    assert -1 <= low <= answer.result.effect <= high <= 1
    assert sum(len(curve) > 1 for curve in answer.result.curves.values()) >= (1 if answer.result.at else 2)
    assert answer.text.render("en")
    assert answer.text.render("zh")
    replay.restore()
    after = [*replay.whole.parameters(), *replay.whole.buffers()]
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(before, after, strict=True))


def test_every_trial_confirms_a_planted_fault_and_refutes_a_wrong_hypothesis():
    made = {tuple(case.split(" ")[:3:2]) for case in CASES}
    assert not IN_THOROUGH - {*CASES}
    assert made == {(t.name, outcome) for t in all_trials() for outcome in ("confirmed", "refuted")}


def test_the_verdict_shows_the_experiment_and_the_script_is_as_it_would_be(tmp_path, monkeypatch):
    patient = session.try_findings  # a busy machine needs longer than the script ran
    monkeypatch.setattr(session, "try_findings", lambda *given: patient(*given[:-1], 60.0))
    train = classes(clears=False)
    plain, random = train().state_dict(), torch.get_rng_state()
    with losscope.watch(out=tmp_path / "run", budget=50, trials=20) as run:
        model = train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        gradients = [p.grad.clone() for p in model.parameters()]
        state = torch.get_rng_state()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(state, random)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(value, plain[name])
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    top = run.verdict.findings[0]
    assert top.code == "missing-zero-grad"
    assert top.trial is not None
    assert top.trial.outcome == "confirmed"
    assert top.evidence[0].signal == "experiment"
    again = judge_run(Recording.open(run.folder)).findings[0]
    assert again.trial == top.trial


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_cannot_be_made_again_says_so(tmp_path):
    def train():
        model = torch.jit.script(nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(40):
            (model(torch.ones(2, 3)) - 1).square().mean().backward()
            optimizer.step()

    with losscope.watch(out=tmp_path / "run", trials=20) as run:
        train()
    assert run.verdict.findings[0].code == "missing-zero-grad"
    assert "not replayable" in str(dict(run.verdict.not_judged)["trials"])


def tried(folder, outcome):
    result = TrialResult(name="learning-rate", outcome=outcome, effect=0.1, interval=(0.0, 0.2), curves={})
    text = Text(en="seen {{so}}", zh="如此")
    found = Trials((Tried("learning-rate-too-high", "0", result, text, text),))
    (folder / FILE).write_text(json.dumps(document(found)), encoding="utf-8")


def test_a_refuted_finding_is_no_complaint_and_explains_nothing(tmp_path):
    recording = broken()
    untried = judge_run(recording)
    assert untried.state == "wrong"
    assert any(f.because_of == "learning-rate-too-high" for f in untried.findings)
    recording.folder = tmp_path
    tried(tmp_path, "refuted")
    verdict = judge_run(recording)
    (finding,) = [f for f in verdict.findings if f.code == "learning-rate-too-high"]
    assert finding.severity == "info"
    assert finding.confidence < 0.5
    assert str(finding.evidence[0].text) == "seen {so}"
    assert not any(f.because_of == "learning-rate-too-high" for f in verdict.findings)


def test_a_finding_left_open_stays_as_it_was(tmp_path):
    recording = broken()
    before = judge_run(recording).findings[0]
    recording.folder = tmp_path
    tried(tmp_path, "open")
    after = judge_run(recording).findings[0]
    assert (after.code, after.severity, after.confidence) == (before.code, before.severity, before.confidence)
    assert after.evidence[-1].signal == "experiment"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 2}', '{"schema": 1, "trials": [3, {"code": 1}]}', "{"]
)
def test_a_damaged_document_is_passed_over(text, tmp_path):
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    assert read_trials(tmp_path) == Trials()
