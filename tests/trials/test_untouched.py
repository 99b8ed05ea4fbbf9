"""Trials leave the world as it is: no file, no process, no message; and an interruption costs nothing but them."""

import subprocess
import sys
from threading import Thread

import pytest
from planted_runs import classes, kept
from torch import nn

import losscope
from losscope.trials.replay import Replay
from losscope.trials.trial import trials_of
from losscope.trials.untouched import Touches, nothing_written
from losscope.watching import session


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr("losscope.watching.deep.compiled", lambda: False)


ACTS = {
    "write": lambda f: (f / "new").write_text("more"),
    "append": lambda f: (f / "old").open("a"),
    "change": lambda f: (f / "old").open("r+"),
    "remove": lambda f: (f / "old").unlink(),
    "rename": lambda f: (f / "old").rename(f / "new"),
    "folder": lambda f: (f / "new").mkdir(),
    "process": lambda f: subprocess.Popen([sys.executable, "-c", ""]),
}


@pytest.mark.parametrize("act", ACTS)
def test_no_act_on_anything_but_memory_is_let_through(act, tmp_path):
    (tmp_path / "old").write_text("as it was")
    with nothing_written(), pytest.raises(Touches):
        ACTS[act](tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "as it was"


def test_reading_is_let_through_and_so_are_other_threads_and_what_comes_afterwards(tmp_path):
    (tmp_path / "old").write_text("as it was")
    with nothing_written():
        assert (tmp_path / "old").read_text() == "as it was"
        other = Thread(target=lambda: (tmp_path / "log").write_text("mine"))
        other.start()
        other.join()
    assert (tmp_path / "log").read_text() == "mine"
    (tmp_path / "new").write_text("again")


class Logging(nn.Linear):
    """Its forward pass appends to a file."""

    path = None

    def forward(self, x):
        with open(Logging.path, "a") as log:
            log.write(".")
        return super().forward(x)


def test_a_forward_pass_that_writes_is_not_made_again(tmp_path, monkeypatch):
    patient = session.try_findings
    monkeypatch.setattr(session, "try_findings", lambda *given: patient(*given[:-1], 60.0))
    Logging.path = tmp_path / "log"
    with losscope.watch(out=tmp_path / "run", budget=50, trials=20) as run:
        classes(clears=False, net=lambda: Logging(20, 5))()
    assert Logging.path.read_text() == "." * 60
    assert "would have called open" in str(dict(run.verdict.not_judged)["trials"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_ends_the_experiments_leaves_the_verdict(error, tmp_path, monkeypatch):
    def ends(*given):
        raise error

    monkeypatch.setattr(session, "judge_quietly", ends)
    with losscope.watch(out=tmp_path / "run", budget=50, trials=20) as run:
        classes(clears=False)()
    assert run.verdict.findings[0].code == "missing-zero-grad"
    assert run.verdict.findings[0].trial is None


def test_batches_that_are_known_by_heart_do_not_tell_that_labels_are_unrelated():
    """At the end of a long run the judged batches were learnt already: learning others makes their loss rise."""
    (trial,) = trials_of("labels-unrelated")
    window = kept(
        classes(steps=400, net=lambda: nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5)))
    )
    answer = trial.run(Replay(window.found[-1]), "labels-unrelated")
    assert answer.result.outcome != "confirmed"
