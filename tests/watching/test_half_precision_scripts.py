"""Numbers that leave the range of float16, through the real watch, and a scaler that finds its scale."""

from itertools import pairwise

import pytest
import torch
from judged import complaints, recording_of, verdict_on
from memory_watch import watching
from torch import nn
from torch.nn import functional

from losscope.recording import signals as s
from losscope.rules.judge import judge_run

CODE = "precision-overflow"


def batch(count=32):
    x = torch.randn(count, 10)
    return x, x[:, :3].argmax(1)


def network():
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))


def half(make, factor=1.0, updates=40, logarithm=False):
    """Weights in float16; inputs grow by ``factor`` half-way."""
    model = network().half()
    optimizer = make(model.parameters())
    for update in range(updates):
        x, y = batch()
        optimizer.zero_grad()
        output = model(x.half() * (factor if 2 * update > updates else 1.0))
        if logarithm:
            functional.nll_loss(torch.log(torch.softmax(output, 1)).float(), y).backward()
        else:
            functional.cross_entropy(output.float(), y).backward()
        optimizer.step()


def scaled(summed, updates=60, start=2.0**24):
    model = network()
    optimizer, scaler = (
        torch.optim.SGD(model.parameters(), 0.1),
        torch.amp.GradScaler("cpu", init_scale=start),
    )
    for _ in range(updates):
        x, y = batch()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            output = model(x)
            loss = ((output - 300) ** 2).sum() if summed else functional.cross_entropy(output, y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def sgd(parameters):
    return torch.optim.SGD(parameters, 1e-2)


@pytest.mark.parametrize(
    "arguments",
    [(half, sgd, 6e4), (half, torch.optim.Adam), (scaled, True)],
    ids=["a matrix product", "eps of Adam", "a sum"],
)
def test_an_overflow_is_the_cause(arguments):
    assert complaints(verdict_on(*arguments)) == [CODE]


def test_a_scaler_that_finds_its_scale_and_a_logarithm_of_zero_are_none():
    with watching() as record:
        scaled(False)
    scales = record.values(s.LOSS_SCALE)
    assert scales[0] == 2.0**24 and len(scales) > 3
    assert all(after in (before / 2, before * 2) for before, after in pairwise(scales))
    assert complaints(judge_run(recording_of(record))) == []
    assert complaints(verdict_on(half, sgd, 300.0, 40, True)) == ["non-finite"]
