"""Loss scales that stay in the gradient, and scripts that take them out in their own ways, through the real watch."""

import pytest
import torch
import torch.nn.functional as F
from judged import complaints, recording_of, verdict_on
from memory_watch import watching
from torch import nn

from losscope.recording import signals as s
from losscope.rules.judge import judge_run

MISUSED, SCALE = "loss-scale-misused", 2.0**12


def train(finish, make=torch.optim.Adam, rate=0.01, passes=1):
    """``finish(scaler, optimizer, model)`` is what comes between the backward and the end of the loop."""
    torch.manual_seed(1)
    x = torch.randn(256, 10)
    y = (x @ torch.randn(10, 3)).argmax(1)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = make(model.parameters(), lr=rate)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    for _ in range(80):
        optimizer.zero_grad()
        for _ in range(passes):
            scaler.scale(F.cross_entropy(model(x), y) / passes).backward()
        finish(scaler, optimizer, model)


def clip(model, limit=1.0):
    nn.utils.clip_grad_norm_(model.parameters(), limit)


def no_scaler_step(scaler, optimizer, model):
    optimizer.step()


def clipped_scaled(scaler, optimizer, model):
    clip(model, 0.1)
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(
    ("finish", "passes", "factor"),
    [(no_scaler_step, 1, SCALE), (no_scaler_step, 3, SCALE), (clipped_scaled, 1, SCALE)],
)
def test_a_scale_that_stays_is_the_top_cause(finish, passes, factor):
    verdict = verdict_on(train, finish, torch.optim.Adam, 0.01, passes)
    assert complaints(verdict) == [MISUSED]
    assert verdict.findings[0].evidence[0].value == pytest.approx(factor, rel=1e-3)


def as_documented(scaler, optimizer, model):
    scaler.unscale_(optimizer)
    clip(model, 0.1)
    scaler.step(optimizer)
    scaler.update()


def unclipped(scaler, optimizer, model):
    scaler.step(optimizer)
    scaler.update()


def by_hand(scaler, optimizer, model):
    for p in model.parameters():
        p.grad.div_(scaler.get_scale())
    clip(model, 0.1)
    optimizer.step()


def limit_times_scale(scaler, optimizer, model):
    clip(model, 0.1 * scaler.get_scale())
    scaler.step(optimizer)
    scaler.update()


def fused(parameters, lr):
    return torch.optim.Adam(parameters, lr=lr, fused=True)


@pytest.mark.parametrize(
    ("finish", "make"),
    [
        (as_documented, torch.optim.Adam),
        (unclipped, torch.optim.SGD),
        (unclipped, fused),
        (by_hand, torch.optim.Adam),
        (limit_times_scale, torch.optim.Adam),
    ],
)
def test_a_scale_that_is_taken_out_is_silent(finish, make):
    with watching() as record:
        train(finish, make)
    assert MISUSED not in complaints(judge_run(recording_of(record)))
    left = record.values(s.SCALE_LEFT, "0/step")
    assert left == pytest.approx([1.0] * len(left), rel=1e-3) or finish in (
        as_documented,
        by_hand,
        limit_times_scale,
    )
