"""What an update promises, and learning rates that are too high, beside labels that carry nothing."""

import numpy as np
import pytest
import torch
from judged import complaints, recording_of, verdict_on
from memory_watch import watching
from torch import nn
from torch.nn import functional

from losscope.recording import signals as s
from losscope.rules.judge import judge_run
from losscope.rules.step_size import promises


def trained(make, updates=160, seed=3, size=32, labels="fresh"):
    """Labels ``fresh`` at every batch carry nothing; ``real`` ones are those of a linear map."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
    optimizer = make(model.parameters())
    weights = torch.randn(32, 5)
    for _ in range(updates):
        x = torch.randn(size, 32) + 1.0
        y = torch.randint(0, 5, (size,)) if labels == "fresh" else ((x - 1) @ weights).argmax(1)
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()


SGD, ADAM = torch.optim.SGD, torch.optim.Adam


def test_gradient_descent_promises_its_rate_times_the_squared_gradient():
    x = torch.randn(32, 1000)
    with watching() as record:
        model = nn.Linear(1000, 100)
        optimizer = SGD(model.parameters(), lr=0.3)
        for _ in range(6):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    squares = [0.3 * g * g for g in record.values(s.GRADIENT_NORM)]
    assert record.values(s.PROMISED_FALL) == pytest.approx(
        squares, rel=0.05
    )  # a part of the weights stands for all
    assert record.values(s.PROMISED_FALL) != pytest.approx(
        [q / 0.3 for q in squares], rel=0.2
    )  # without the rate


def test_on_a_quadratic_the_promise_is_polyaks_measure():
    """L = x²/2 and x' = (1 - r) x: the promise r x² is 2r times the loss, and from r = 2 on the loss rises."""
    for rate, expected in ((0.5, 1.0), (1.9, 3.8)):
        with watching() as record:
            model = nn.Linear(1, 1, bias=False)
            optimizer = SGD(model.parameters(), lr=rate)
            for _ in range(30):
                optimizer.zero_grad()
                functional.mse_loss(model(torch.ones(1, 1)), torch.zeros(1, 1)).mul(0.5).backward()
                optimizer.step()
        assert promises(recording_of(record), "0").values == pytest.approx(expected, rel=1e-3)


def test_closures_promise_nothing():
    with watching() as record:
        model = nn.Linear(3, 1)
        optimizer = torch.optim.LBFGS(model.parameters())

        def closure():
            optimizer.zero_grad()
            loss = model(torch.ones(4, 3)).square().mean()
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
    assert record.values(s.PROMISED_FALL) == [] and record.values(s.UPDATE_RATIO)


@pytest.mark.parametrize(
    ("make", "size"),
    [(lambda p: SGD(p, 0.1, momentum=0.9), 8), (lambda p: ADAM(p, 3e-3), 8), (lambda p: SGD(p, 0.3), 64)],
    ids=["momentum", "adam", "sgd"],
)
def test_labels_without_a_signal_are_not_blamed_on_a_sane_rate(make, size):
    found = complaints(verdict_on(trained, make, 160, 3, size))
    assert "learning-rate-too-high" not in found and found


@pytest.mark.parametrize(
    "make", [lambda p: ADAM(p, 1.0), lambda p: SGD(p, 10.0, momentum=0.9)], ids=["adam", "momentum"]
)
def test_a_rate_that_destroys_the_model_is_the_cause(make):
    assert complaints(verdict_on(trained, make, 160, 3, 32, "real"))[0] == "learning-rate-too-high"


def test_the_clipped_gradient_is_the_one_that_counts():
    with watching() as record:
        model = nn.Linear(4, 1)
        optimizer = SGD(model.parameters(), lr=2.0)
        for _ in range(3):
            optimizer.zero_grad()
            (1e3 * model(torch.ones(2, 4))).mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    assert record.values(s.PROMISED_FALL) == pytest.approx([2.0 * 0.25] * 3, rel=1e-3)
    assert judge_run(recording_of(record)).state == "not-enough-evidence"


@pytest.mark.parametrize(("rate", "curvature"), [(0.3, 0.1), (0.3, 2.0), (0.9, 2.0)])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_excess_of_noisy_descent_is_a_quarter_of_the_promise(rate, curvature, momentum):
    """x' = x - v', v' = m v + r (c x + noise) about its minimum at 0; with momentum up to 1 / (1 - m) as much."""
    random = np.random.default_rng(0)
    x, v, excess, promised = np.zeros(2000), np.zeros(2000), [], []
    for update in range(400):
        gradient = curvature * x + random.standard_normal(2000)
        v = momentum * v + rate * gradient
        if update >= 200:
            excess.append(np.mean(curvature * x**2 / 2))
            promised.append(np.mean(gradient * v))
        x = x - v
    quarter = np.mean(promised) / 4
    if momentum:
        assert quarter < np.mean(excess) < 1.05 * quarter / (1 - momentum)
    else:
        assert np.mean(excess) == pytest.approx(quarter, rel=0.05)
        assert np.mean(excess) != pytest.approx(2 * quarter, rel=0.2)


def regression(rate, updates=400, inputs=16, size=8):
    """y = <w, x> + noise, by batches of B: excess / noise = r d / (2 B - r (d + B + 1)) with r twice the rate."""
    model = nn.Linear(inputs, 1, bias=False)
    weights, optimizer = torch.randn(inputs, 1), SGD(model.parameters(), rate)
    for _ in range(updates):
        x = torch.randn(size, inputs)
        optimizer.zero_grad()
        functional.mse_loss(model(x), x @ weights + 2 * torch.randn(size, 1)).backward()
        optimizer.step()


@pytest.mark.parametrize(("rate", "found"), [(0.22, ["oscillating-loss"]), (0.02, [])])
def test_a_loss_that_steps_hold_up_is_told_from_one_that_noise_does(rate, found):
    assert complaints(verdict_on(regression, rate)) == found


def test_full_batch_descent_at_the_edge_of_stability_is_context():
    def descent(rate):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(200, 16, generator=generator)
        y = torch.sin(x @ torch.randn(16, 1, generator=generator))
        model = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 1))
        optimizer = SGD(model.parameters(), rate)
        for _ in range(200):
            optimizer.zero_grad()
            functional.mse_loss(model(x), y).backward()
            optimizer.step()

    for rate, expected in ((0.4, True), (0.05, False)):
        verdict = verdict_on(descent, rate)
        assert complaints(verdict) == []
        assert ("edge-of-stability" in {f.code for f in verdict.findings}) == expected
