"""Traces of functions of an operator: log-determinant, effective dimension, and any other."""

import math

import pytest
import torch
from matrices import Broken, Clock, calibration, matrix, unbiased

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.spectrum import quadrature as module
from losscope.estimators.spectrum.effective_dimension import effective_dimension
from losscope.estimators.spectrum.logdet import logdet
from losscope.estimators.spectrum.trace_function import trace_function
from losscope.operators.dense import Dense

VALUES = torch.linspace(0.5, 3, 16, dtype=torch.float64)
FULL = matrix(VALUES)
ANSWERS = {
    "logdet": (logdet, float(VALUES.log().sum())),
    "damped": (lambda op, **o: logdet(op, 2.0, **o), float((VALUES + 2).log().sum())),
    "dimension": (lambda op, **o: effective_dimension(op, 1.0, **o), float((VALUES / (VALUES + 1)).sum())),
    "exponential": (lambda op, **o: trace_function(op, torch.exp, **o), float(VALUES.exp().sum())),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_known_answers_exactly(name):
    call, truth = ANSWERS[name]
    found = call(Dense(FULL))
    assert found.value == pytest.approx(truth, rel=1e-12)
    assert found.stderr < 1e-10 and found.products == 16


@pytest.mark.thorough
@pytest.mark.parametrize("name", ANSWERS)
def test_unbiased_with_the_right_standard_error(name):
    """10 steps are enough for functions as smooth as these: the bias is nothing, the errors are those of the probes."""
    call, truth = ANSWERS[name]
    found = [call(Dense(FULL), exact=False, steps=10, products=16 * 10, rtol=0, seed=s) for s in range(200)]
    assert unbiased(found, truth)
    assert 0.85 < calibration(found, truth) < 1.15


def test_the_bias_of_few_steps_is_in_the_error():
    """Badly conditioned: 3 steps give a log-determinant that is too large, far beyond the spread over probes."""
    values = torch.logspace(-6, 0, 60, dtype=torch.float64)
    truth = float(values.log().sum())
    found = logdet(Dense(matrix(values)), exact=False, steps=4, rtol=0, products=800)
    assert found.value - truth > 20
    assert abs(found.value - truth) < 3 * found.stderr
    better = logdet(Dense(matrix(values)), exact=False, steps=50, rtol=0, products=4000)
    assert better.stderr < found.stderr / 2 and abs(better.value - truth) < 3 * better.stderr


def test_errors_of_the_probes_alone_are_rejected(monkeypatch):
    """The planted mutant forgets the bias."""
    monkeypatch.setattr(module, "_coarse", module._rule)
    values = torch.logspace(-6, 0, 60, dtype=torch.float64)
    found = logdet(Dense(matrix(values)), exact=False, steps=4, rtol=0, products=800)
    assert abs(found.value - float(values.log().sum())) > 5 * found.stderr


def test_the_tolerance_ends_it():
    full = matrix(torch.linspace(1, 3, 400))
    rough, fine = (logdet(Dense(full), rtol=r, steps=10, exact=False, products=10_000) for r in (0.1, 0.005))
    assert rough.products == 80 < fine.products < 10_000
    truth = float(torch.linspace(1, 3, 400).log().sum())
    assert fine.stderr <= 0.005 * truth and abs(fine.value - truth) < 4 * fine.stderr


def test_a_log_determinant_near_zero_is_measured_by_the_norm():
    values = torch.exp(torch.linspace(-1, 1, 300, dtype=torch.float64))
    found = logdet(Dense(matrix(values)), rtol=0.3, exact=False, products=10_000)
    assert found.products < 2000
    assert abs(found.value) < 4 * found.stderr < 4 * 0.3 * float(values.log().norm())


def test_single_precision():
    full = matrix(torch.linspace(1, 2, 100), torch.float32)
    truth = float(torch.linspace(1, 2, 100, dtype=torch.float64).log().sum())
    assert logdet(Dense(full)).value == pytest.approx(truth, rel=1e-5)
    found = logdet(Dense(full), exact=False, steps=10)
    assert abs(found.value - truth) < 4 * found.stderr


@pytest.mark.parametrize("products", [1, 7, 50, 100])
def test_products_are_limited(products):
    op, seen = Dense(matrix(torch.linspace(1, 2, 200))), []
    found = logdet(op, rtol=0, products=products, progress=lambda *now: seen.append(now))
    assert found.products == op.products == seen[-1][0] <= products
    assert math.isinf(found.stderr) == (products < 60)


def test_time_is_limited(monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = logdet(Dense(matrix(torch.linspace(1, 2, 300))), rtol=0, seconds=9, products=10**6)
    assert found.products < 300


def test_the_same_seed_gives_the_same_numbers():
    options = {"exact": False, "steps": 6, "rtol": 0, "products": 60}
    first, second, other = (logdet(Dense(FULL), seed=seed, **options) for seed in (3, 3, 4))
    assert (first.value, first.stderr) == (second.value, second.stderr)
    assert first.value != other.value


@pytest.mark.parametrize("exact", [True, False])
def test_not_positive_definite_is_one_line(exact):
    indefinite = Dense(matrix(torch.linspace(-1, 1, 50)))
    with pytest.raises(BadUsage, match="positive definite operator"):
        logdet(indefinite, exact=exact)
    with pytest.raises(BadUsage, match=r"positive definite A \+ δI"):
        effective_dimension(indefinite, 0.5, exact=exact)
    with pytest.raises(BadUsage, match="not finite on the spectrum"):
        trace_function(indefinite, torch.sqrt, exact=exact)
    assert math.isfinite(effective_dimension(indefinite, 1.5, exact=exact).value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: logdet(d, -1), "damping is a finite number from 0"),
        (lambda d: effective_dimension(d, 0), "damping is a finite number above 0"),
        (lambda d: trace_function(d, torch.exp, steps=0), "steps is an integer"),
        (lambda d: trace_function(d, torch.exp, rtol=-1), "rtol is a finite number"),
        (lambda d: logdet(Broken()), "not finite"),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(BadUsage, match=says):
        call(Dense(torch.eye(5)))
