"""Weights whose updates are rounded away, and gradients that are summed instead of averaged, through the real watch."""

import pytest
import torch
import torch.nn.functional as F
from judged import complaints, recording_of, verdict_on
from memory_watch import watching
from torch import nn

from losscope.recording import signals as s
from losscope.rules.judge import judge_run

STALLED, SUMMED = "precision-stalled", "accumulation-not-averaged"


def task(n=256):
    torch.manual_seed(1)
    x = torch.randn(n, 10)
    return x, (x @ torch.randn(10, 3)).argmax(1)


def half(rate, dtype=torch.bfloat16, count=260):
    x, y = task()
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(x.to(dtype)).float(), y).backward()
        optimizer.step()


def test_rounded_updates_are_the_top_cause():
    verdict = verdict_on(half, 1e-4)
    assert complaints(verdict) == [STALLED]


@pytest.mark.parametrize(("rate", "dtype"), [(0.2, torch.bfloat16), (1e-4, torch.float32)])
def test_large_updates_and_full_precision_are_silent(rate, dtype):
    assert STALLED not in complaints(verdict_on(half, rate, dtype))


def test_stochastic_rounding_moves_in_the_long_run():
    """At a twentieth of the distance one update moves an entry in twenty: most stand still, at single updates."""
    x, y = task()
    weight = nn.Parameter(torch.randn(10, 3).to(torch.bfloat16))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    with watching() as record:
        for _ in range(600):
            optimizer.zero_grad()
            F.cross_entropy(x @ weight.float(), y).backward()

            def rounded(*_):
                with torch.no_grad():
                    wanted = weight.float() - 4e-4 * weight.float().abs() * weight.grad.float().sign()
                    bits = wanted.view(torch.int32) + torch.randint(
                        0, 1 << 16, wanted.shape, dtype=torch.int32
                    )
                    weight.copy_((bits & -65536).view(torch.float32).to(torch.bfloat16))

            hook = optimizer.register_step_pre_hook(rounded)
            optimizer.step()
            hook.remove()
    shares = record.values(s.STALLED_SHARE)
    assert len(shares) > 6 and shares[0] > 0.8 and shares[-1] < 0.5
    assert STALLED not in complaints(judge_run(recording_of(record)))


def test_the_share_is_that_of_the_entries_themselves():
    """Of 64 ones, updates of 1/512 move none, updates of 1/64 all; half of the entries have no gradient at all."""
    weight = nn.Parameter(torch.ones(64, dtype=torch.bfloat16))
    factors = torch.zeros(64)
    factors[:24], factors[24:32] = 1 / 512, 1 / 64
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with watching() as record:
        for _ in range(12):
            optimizer.zero_grad()
            (weight.float() * factors).sum().backward()
            optimizer.step()
    shares = record.values(s.STALLED_SHARE)
    assert shares and shares == pytest.approx([24 / 32] * len(shares))


def accumulated(divided, rate=0.1, make=torch.optim.SGD, reduction="mean"):
    x, y = task()
    model = nn.Linear(10, 3)
    optimizer = make(model.parameters(), lr=rate)
    for _ in range(120):
        optimizer.zero_grad()
        for part in range(8):
            loss = F.cross_entropy(model(x[part::8]), y[part::8], reduction=reduction)
            (loss / 8 if divided else loss).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("arguments", "severity"),
    [
        ((False, 0.05), "info"),  # it learns all the same: on purpose, perhaps
        ((False, 0.01, torch.optim.Adam), "info"),
        ((True, 0.1), None),
        ((False, 0.001, torch.optim.SGD, "sum"), None),
    ],
)
def test_sums_of_means_are_told_without_blame_where_they_learn(arguments, severity):
    found = [f.severity for f in verdict_on(accumulated, *arguments).findings if f.code == SUMMED]
    assert found == ([] if severity is None else [severity])


def two_losses():
    """Each update has a backward of two different losses: nothing is accumulated."""
    x, y = task()
    model = nn.Linear(10, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        F.mse_loss(model(x), F.one_hot(y, 3).float()).backward()
        optimizer.step()


def test_two_losses_are_not_an_accumulation():
    assert SUMMED not in [f.code for f in verdict_on(two_losses).findings]
