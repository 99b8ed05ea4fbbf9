"""Weights that something other than an optimiser writes to: resets inside the loop, and what only looks like them."""

import copy

import pytest
import torch
from judged import complaints, recording_of
from memory_watch import watching
from torch import nn
from torch.nn import functional

from losscope.recording import signals as s
from losscope.rules.judge import judge_run

CODE = "weights-overwritten"
EPOCHS, UPDATES = 6, 25


def initialise(layer):
    if isinstance(layer, nn.Linear):
        layer.weight.data.normal_(0, 0.3)


class Training:
    """Six epochs on a linear task; subclasses write to the weights at some point."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
        self.start = copy.deepcopy(self.model.state_dict())
        self.initial = [p.detach().clone() for p in self.parameters()]
        self.average = copy.deepcopy(self.model)
        self.optimizer = torch.optim.Adam(self.parameters(), 3e-3)
        self.weights = torch.randn(20, 5)

    def parameters(self):
        return list(self.model.parameters())

    def epoch(self, number):
        """Called when an epoch begins."""

    def before(self, number):
        """Called before an update."""

    def after(self, number):
        """Called after an update."""

    def run(self, share=1e9, updates=UPDATES):
        with watching(share) as record:
            for epoch in range(EPOCHS):
                self.epoch(epoch)
                for number in range(updates):
                    self.before(epoch * updates + number)
                    x = torch.randn(32, 20)
                    self.optimizer.zero_grad()
                    loss = functional.cross_entropy(self.model(x), (x @ self.weights).argmax(1))
                    loss.backward()
                    self.optimizer.step()
                    self.after(epoch * updates + number)
        return record


class Loaded(Training):
    def epoch(self, number):
        self.model.load_state_dict(self.start)


class LoadedEachTime(Training):
    def before(self, number):
        self.model.load_state_dict(self.start)


class Copied(Training):
    def epoch(self, number):
        with torch.no_grad():
            for p, q in zip(self.parameters(), self.initial, strict=True):
                p.copy_(q)


class CopiedIntoData(Training):
    def epoch(self, number):
        for p, q in zip(self.parameters(), self.initial, strict=True):
            p.data.copy_(q)


class Initialised(Training):
    def epoch(self, number):
        self.model.apply(initialise)


class WrongWay(Training):
    def before(self, number):
        if number % 15 == 0:
            self.model.load_state_dict(self.average.state_dict())


class AverageCopiedBack(Training):
    def after(self, number):
        with torch.no_grad():
            for q, p in zip(self.average.parameters(), self.parameters(), strict=True):
                q.lerp_(p, 0.001)
                p.copy_(q)


def slow(*kinds):
    return [pytest.param(kind, marks=pytest.mark.thorough) for kind in kinds]


FAULTS = [Loaded, Copied, Initialised, AverageCopiedBack, *slow(LoadedEachTime, CopiedIntoData, WrongWay)]
SEEN = {Loaded: "epoch", LoadedEachTime: "before", Initialised: "epoch", WrongWay: "before"}


@pytest.mark.parametrize("kind", FAULTS)
def test_weights_that_are_overwritten_are_the_cause(kind):
    verdict = judge_run(recording_of(kind().run()))
    assert complaints(verdict)[0] == CODE
    place = verdict.findings[0].where
    if kind in SEEN:
        first = getattr(kind, SEEN[kind]).__code__.co_firstlineno
        assert place is not None and first < place.line <= first + 2
    else:
        assert place is None


class Ordinary(Training):
    pass


class Checkpoint(Training):
    def epoch(self, number):
        if number == 0:
            self.model.load_state_dict(self.start)


class Swapped(Training):
    """The average is evaluated, and the weights are put back."""

    def after(self, number):
        with torch.no_grad():
            for q, p in zip(self.average.parameters(), self.parameters(), strict=True):
                q.lerp_(p, 0.1)

    def epoch(self, number):
        kept = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self.average.state_dict())
        with torch.no_grad():
            self.model(torch.randn(8, 20))
        self.model.load_state_dict(kept)


class Target(Training):
    def before(self, number):
        if number % 15 == 0:
            self.average.load_state_dict(self.model.state_dict())


class Clipped(Training):
    def after(self, number):
        for p in self.parameters():
            p.data.clamp_(-0.25, 0.25)


class Lookahead(Training):
    def after(self, number):
        if number % 5 == 4:
            with torch.no_grad():
                for q, p in zip(self.average.parameters(), self.parameters(), strict=True):
                    q.lerp_(p, 0.5)
                    p.copy_(q)


class Reptile(Training):
    """Of each ten inner updates a tenth is kept, by one inner optimiser."""

    def before(self, number):
        if number % 10 == 0:
            with torch.no_grad():
                for q, p in zip(self.average.parameters(), self.parameters(), strict=True):
                    q.lerp_(p, 0.1)
                    p.copy_(q)


class Folds(Training):
    """A fresh optimiser for each fold."""

    def epoch(self, number):
        self.model.load_state_dict(self.start)
        self.optimizer = torch.optim.Adam(self.parameters(), 3e-3)


class Episodes(Training):
    """Test-time adaptation: weights and optimiser are put back together."""

    def epoch(self, number):
        if number == 0:
            self.state = copy.deepcopy(self.optimizer.state_dict())
        self.model.load_state_dict(self.start)
        self.optimizer.load_state_dict(self.state)


class RangeTest(Training):
    def epoch(self, number):
        self.model.load_state_dict(self.start)
        self.optimizer.param_groups[0]["lr"] = 1e-4 * 2**number


class Masked(Training):
    def after(self, number):
        with torch.no_grad():
            for p, q in zip(self.parameters(), self.initial, strict=True):
                p.mul_(q.abs() > q.abs().median())


class BestAgain(Training):
    """The best weights are put back twice, and a last time when training ends."""

    def epoch(self, number):
        if number == 2:
            self.best = copy.deepcopy(self.model.state_dict())
        elif number > 3:
            self.model.load_state_dict(self.best)


LOOKALIKES = [Swapped, Clipped, Reptile, Folds, RangeTest]
LOOKALIKES += slow(Ordinary, Checkpoint, Target, Lookahead, Episodes, Masked, BestAgain)


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_what_looks_like_it_is_not(kind):
    assert CODE not in complaints(judge_run(recording_of(kind().run())))


def test_the_share_that_is_taken_back_is_that_of_the_average():
    record = AverageCopiedBack().run(updates=6)
    shares = record.values(s.UNDONE_SHARE)
    assert len(shares) >= 3 and shares == pytest.approx([0.999] * len(shares), abs=2e-4)
    assert Ordinary().run(updates=6).values(s.UNDONE_SHARE) == pytest.approx([0.0] * len(shares))


def test_loads_are_seen_although_most_updates_take_the_fast_path():
    record = Loaded().run(share=0.05, updates=100)
    assert CODE in complaints(judge_run(recording_of(record)))


def test_updates_that_are_thrown_away_are_counted_exactly():
    record = Loaded().run(updates=9)
    assert record.steps(s.RETURNED) == [9, 18, 27, 36, 45]
    assert record.values(s.RETURNED) == [9.0] * 5
