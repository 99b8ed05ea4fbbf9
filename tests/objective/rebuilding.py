"""Watched trainings of small models, from which objectives are rebuilt."""

import pytest
import torch
from torch import nn

from losscope.objective.rebuild.rebuild import rebuild
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.watching.assembly import assemble


class Quiet:
    """A recorder that forgets."""

    def __init__(self):
        self.events = []

    def series(self, signal, label=""):
        return self

    def add(self, step, value):
        pass

    def event(self, kind, /, **fields):
        self.events.append((kind, fields))


def watched(train):
    """The keeper after ``train()`` ran under a watch that keeps updates."""
    recorder = Quiet()
    watch, hooks = assemble(recorder, 1e9)
    watch.deep.keeper.wanted = True
    hooks.install()
    try:
        train()
    finally:
        watch.finish()
        hooks.remove()
    assert not [e for e in recorder.events if e[0] == "fault"]
    assert not nn.modules.module._global_forward_hooks and not nn.modules.module._global_forward_pre_hooks
    return watch.deep.keeper


def x(n=16, d=5):
    return torch.randn(n, d)


def net(out=3):
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, out))


def y(n=16, classes=3):
    return torch.randint(classes, (n,))


def refused(train):
    kept = watched(train)
    if kept.why is not None:
        return str(kept.why)
    with pytest.raises(NotRebuildable) as caught:
        rebuild(kept.updates)
    return str(caught.value.why)


def loop(loss_of, model=None, steps=5):
    def train():
        m = model or net()
        opt = torch.optim.SGD(m.parameters(), lr=0.05)
        for _ in range(steps):
            opt.zero_grad()
            loss_of(m).backward()
            opt.step()

    return train
