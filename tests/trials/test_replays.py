"""A kept window made again: exactly what was seen, or not replayable; and never more than was seen."""

import math

import pytest
import torch
import torch.nn.functional as F
from planted_runs import classes, kept
from torch import nn

from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.trials import replay as replay_module
from losscope.trials.arms import affordable, compare, effect
from losscope.trials.optimiser import ReplayedOptimizer
from losscope.trials.replay import OutOfTime, Replay
from losscope.trials.training import Change

KINDS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.AdamW(p, lr=3e-3, amsgrad=True),
    "groups": lambda p: torch.optim.RMSprop([{"params": [q], "lr": 1e-3 * (i + 1)} for i, q in enumerate(p)]),
}


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr("losscope.watching.deep.compiled", lambda: False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_reproduced_with_dropout_and_the_optimisers_state(kind, tmp_path):
    window = kept(classes(make=KINDS[kind]))
    assert window.why is None
    assert len(window.found) == 2
    for found in window.found:
        replay = Replay(found)
        assert replay.proved == len(found.updates) == 16
        assert replay.cleared
        assert replay.limit == math.inf


def test_clipping_is_found_by_what_it_did(tmp_path):
    replay = Replay(kept(classes(clip=0.25)).found[0])
    assert replay.proved == 16
    assert replay.limit == pytest.approx(0.25, rel=1e-4)


def test_that_gradients_were_never_cleared_is_found_by_what_it_did(tmp_path):
    replay = Replay(kept(classes(clears=False)).found[-1])
    assert replay.proved == 16
    assert not replay.cleared


def test_rates_of_a_schedule_are_made_again(tmp_path):
    def train():
        torch.manual_seed(0)
        model, x = nn.Linear(3, 1), torch.randn(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
        for _ in range(30):
            optimizer.zero_grad()
            F.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            optimizer.step()
            schedule.step()

    assert Replay(kept(train).found[0]).proved == 16


class Forgetful(ReplayedOptimizer):
    """A replay that begins without momentum."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs | {"state": False})


class Unclipped(Replay):
    """A replay that does what the gradient says."""

    def _differs(self, *args):
        return super()._differs(*args)[0], 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_that_forgets_the_optimisers_state_is_rejected(kind, tmp_path, monkeypatch):
    window = kept(classes(make=KINDS[kind])).found[-1]
    monkeypatch.setattr(replay_module, "ReplayedOptimizer", Forgetful)
    with pytest.raises(NotRebuildable, match="made again, update"):
        Replay(window)


def test_a_replay_that_does_not_clip_is_rejected(tmp_path):
    window = kept(classes(clip=0.05, make=lambda p: torch.optim.SGD(p, lr=0.5))).found[0]
    with pytest.raises(NotRebuildable):
        Unclipped(window)


def test_what_the_window_does_not_know_of_is_not_replayable(tmp_path):
    """Weights that the script changes itself, between updates."""

    def train():
        torch.manual_seed(0)
        model, x = nn.Linear(3, 1), torch.randn(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            F.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            optimizer.step()
            with torch.no_grad():
                model.weight.mul_(0.9)

    with pytest.raises(NotRebuildable, match="made again, update 2 has the loss"):
        Replay(kept(train).found[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_module_that_cannot_be_copied_is_told(tmp_path):
    def train():
        model = torch.jit.script(nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(10):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).mean().backward()
            optimizer.step()

    window = kept(train)
    assert window.found == []
    assert "cannot be copied" in str(window.why)


def quadratic(rate):
    """w² from w = 3: a step multiplies w by 1 − 2η."""

    def train():
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, 3.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        for _ in range(20):
            optimizer.zero_grad()
            F.mse_loss(model(torch.ones(4, 1)), torch.zeros(4, 1)).backward()
            optimizer.step()

    return Replay(kept(train).found[0])


def test_arms_of_a_quadratic_have_their_closed_form(tmp_path):
    rate, updates = 0.01, 12
    replay = quadratic(rate)
    before = replay.theta().item()
    assert before == pytest.approx(3 * (1 - 2 * rate), rel=1e-6)  # the window begins at the second update
    changes = {"1": Change(), "10": Change(rate=10.0), "120": Change(rate=120.0)}
    arms = compare(replay, changes, [replay.restore], updates=updates)
    for factor, arm in ((1, arms["1"]), (10, arms["10"]), (120, arms["120"])):
        shrinks = (1 - 2 * rate * factor) ** (2 * updates)
        assert arm.last == pytest.approx(before**2 * shrinks, rel=1e-4)
        assert arm.curve[0] == pytest.approx(before**2, rel=1e-5)
    falls = [1 - (1 - 2 * rate * f) ** (2 * updates) for f in (1, 10)]
    expected = (falls[1] - falls[0]) / (falls[0] + falls[1])
    assert effect(arms["1"], arms["10"]).value == pytest.approx(expected, rel=1e-4)
    assert effect(arms["1"], arms["120"]).value == pytest.approx(-1, abs=1e-2)
    assert replay.theta().item() == before


def test_an_arm_that_is_no_longer_finite_fell_less(tmp_path):
    replay = quadratic(0.01)
    arms = compare(replay, {"": Change(), "far": Change(rate=1e9)}, [replay.restore], updates=12)
    assert effect(arms[""], arms["far"]).interval == (-1.0, -1.0)


def test_no_update_is_begun_when_time_is_over(tmp_path):
    replay = quadratic(0.01)
    replay.deadline = 0.0
    with pytest.raises(OutOfTime):
        affordable(replay, 2, [replay.restore])
    with pytest.raises(OutOfTime):
        compare(replay, {"": Change()}, [replay.restore], updates=8)
