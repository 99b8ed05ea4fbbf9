"""Layers in the wrong mode, in updates and in validations, through the real watch; and what people do on purpose."""

import pytest
import torch
import torch.nn.functional as F
from judged import complaints, recording_of, verdict_on
from memory_watch import watching
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from losscope.rules.judge import judge_run

EVAL, TRAIN, BROKEN = "eval-mode-in-training", "train-mode-in-evaluation", "normalisation-broken"


class Net(nn.Module):
    def __init__(self, norm=True, drop=True, always=None):
        super().__init__()
        self.first, self.last = nn.Linear(10, 24), nn.Linear(24, 3)
        self.norm = nn.BatchNorm1d(24) if norm else nn.Identity()
        self.drop = nn.Dropout(0.2) if drop else nn.Identity()
        self.always = always

    def forward(self, x):
        x = self.drop(F.relu(self.norm(self.first(x))))
        return self.last(x if self.always is None else self.always(x))


def careless(x):
    return F.dropout(x, 0.2)


def on_purpose(x):
    return F.dropout(x, 0.2, training=True)


def epochs(count=8):
    torch.manual_seed(1)
    x = torch.randn(320, 10)
    y = (x @ torch.randn(10, 3)).argmax(1)
    for _ in range(count):
        yield from ((False, x[i : i + 32], y[i : i + 32]) for i in range(0, 256, 32))
        yield from ((True, x[i : i + 32], y[i : i + 32]) for i in range(256, 320, 32))


def train(model, before_training=None, before_validation=None, loss=True):
    """``before_…`` switch the model; the validation computes a loss, or reads a loader and counts hits."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    held_out = DataLoader(TensorDataset(torch.randn(64, 10)), batch_size=32)
    model.train()
    feed, validating = iter(DataLoader(TensorDataset(torch.randn(64, 10)), batch_size=32)), False
    next(feed)
    for validates, x, y in epochs():
        if validates is not validating or not validates:
            switch = before_validation if validates else before_training
            if switch is not None:
                switch(model)
        validating = validates
        if not validates:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        elif loss:
            with torch.no_grad():
                F.cross_entropy(model(x), y)
        else:
            with torch.no_grad():
                for (batch,) in held_out:
                    model(batch).argmax(1)


def verdict(*arguments, **how):
    def script():
        train(Net(*arguments), **how)

    return verdict_on(script)


@pytest.mark.parametrize(("norm", "drop"), [(True, False), (False, True)])
def test_eval_that_is_never_taken_back(norm, drop):
    found = verdict(norm, drop, before_validation=nn.Module.eval)
    assert complaints(found) == [EVAL]
    assert found.findings[0].where is not None and found.findings[0].where.file == __file__


def test_eval_from_the_start_normalises_nothing():
    found = verdict(before_training=nn.Module.eval, before_validation=nn.Module.eval)
    assert complaints(found) == [EVAL]
    assert found.findings[0].severity == "error"


@pytest.mark.parametrize(("norm", "drop"), [(True, True), (False, True)])
@pytest.mark.parametrize("loss", [True, False])
def test_validation_in_training_mode(norm, drop, loss):
    found = verdict(norm, drop, loss=loss)
    assert complaints(found) == [TRAIN]
    assert found.findings[0].severity == ("error" if norm else "warning")
    assert found.findings[0].where is not None and found.findings[0].where.file == __file__


def switched(**how):
    return verdict(how.pop("norm", True), True, how.pop("always", None), **how)


def frozen_norm(model):
    model.train()
    model.norm.eval()


def sampling(model):
    model.eval()
    model.drop.train()


def test_dropout_that_nobody_can_switch_off():
    modes = {"before_training": nn.Module.train, "before_validation": nn.Module.eval}
    assert complaints(switched(always=careless, **modes)) == [TRAIN]


@pytest.mark.parametrize(
    "how",
    [
        {"before_training": nn.Module.train, "before_validation": nn.Module.eval},
        {"before_training": nn.Module.train, "before_validation": nn.Module.eval, "loss": False},
        {"before_training": frozen_norm, "before_validation": nn.Module.eval},
        {"before_training": nn.Module.train, "before_validation": sampling},
        {"before_training": nn.Module.train, "before_validation": nn.Module.eval, "always": on_purpose},
    ],
    ids=["usual", "counting", "frozen-norm", "monte-carlo", "always-on-purpose"],
)
def test_modes_as_they_are_meant(how):
    assert complaints(switched(**how)) == []


def test_a_frozen_backbone_evaluates():
    backbone, head = Net(), nn.Linear(3, 3)

    def script():
        backbone.requires_grad_(False).eval()
        model = nn.Sequential(backbone, head)
        train(model, before_training=lambda _: backbone.eval())

    assert EVAL not in complaints(verdict_on(script))


def test_a_teacher_without_autograd_is_no_validation():
    """Mean teachers, generators and reentrant checkpoints run in training mode inside of an update."""
    x, y = torch.randn(64, 10), torch.randint(0, 3, (64,))
    with watching() as record:
        model, teacher = Net(), Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(40):
            with torch.no_grad():
                aim = teacher(x).softmax(1)
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) + F.mse_loss(model(x).softmax(1), aim)).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(x), y)
            model.train()
    assert TRAIN not in complaints(judge_run(recording_of(record)))


@pytest.mark.parametrize("momentum", [0.0, 0.99, None, 0.1])
def test_running_statistics_that_are_no_average(momentum):
    def script():
        model = Net()
        model.norm.momentum = momentum
        train(model, before_training=nn.Module.train, before_validation=nn.Module.eval)

    assert complaints(verdict_on(script)) == ([BROKEN] if momentum in {0.0, 0.99} else [])


@pytest.mark.parametrize("size", [1, 2])
def test_batches_of_one(size):
    def script():
        x = torch.randn(120, 2, 4, 4)
        y = (x.mean((1, 2, 3)) > 0).long()
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for i in range(0, 120, size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[i : i + size]), y[i : i + size]).backward()
            optimizer.step()

    assert complaints(verdict_on(script)) == ([BROKEN] if size == 1 else [])


def test_a_switch_is_told_where_no_sample_can_be_afforded():
    def script():
        train(Net(), before_validation=nn.Module.eval)

    assert complaints(verdict_on(script, share=1e-9)) == [EVAL]


def test_a_validation_under_autograd_is_no_training():
    """Nor is an adversarial example: calls are off many times in a row, but no update is made meanwhile."""
    x, y = torch.randn(64, 10), torch.randint(0, 3, (64,))

    def script():
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(60):
            model.eval()
            for _ in range(40):
                F.cross_entropy(model(x), y)
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    assert EVAL not in complaints(verdict_on(script, share=1e-9))
