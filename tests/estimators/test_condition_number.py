"""Condition numbers: definite, indefinite, singular; errors that are bounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import Broken, Clock, matrix

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.extremes import condition_number as module
from losscope.estimators.extremes.condition_number import condition_number
from losscope.operators.dense import Dense

SPECTRA = {
    "definite": torch.linspace(0.1, 5, 100),
    "negative": -torch.linspace(0.5, 5, 100),
    "indefinite": torch.cat([-torch.linspace(0.4, 2, 40), torch.linspace(0.25, 5, 60)]),
    "identity": torch.ones(100),
}


def kappa(values, damping=0.0):
    sizes = (values.double() + damping).abs()
    return float(sizes.max() / sizes.min())


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("damping", [0.0, 0.05])
@pytest.mark.parametrize("name", SPECTRA)
def test_known_answers(name, damping, exact):
    values = SPECTRA[name]
    found = condition_number(Dense(matrix(values)), damping, exact=exact)
    truth = kappa(values, damping)
    assert abs(found.value - truth) <= found.stderr + 1e-9
    assert found.stderr <= (1e-9 if exact else 0.1) * truth


@pytest.mark.parametrize("exact", [True, False])
def test_singular_matrices_have_a_lower_bound(exact):
    values = torch.cat([torch.zeros(3), torch.linspace(0.1, 1, 60)])
    found = condition_number(Dense(matrix(values)), exact=exact)
    assert math.isinf(found.stderr) and found.value > 1000
    assert condition_number(Dense(torch.zeros(4, 4)), exact=exact).stderr == math.inf
    damped = condition_number(Dense(matrix(values)), 0.5, exact=exact)
    assert damped.value == pytest.approx(3, rel=1e-3) and damped.stderr < 0.01


def test_the_smallest_in_absolute_value_is_meant(monkeypatch):
    """The planted mutant divides by the algebraically smallest eigenvalue."""
    full, truth = Dense(matrix(SPECTRA["indefinite"])), kappa(SPECTRA["indefinite"])
    squared = module._Squared
    monkeypatch.setattr(module, "_Squared", lambda inner: inner)
    wrong = condition_number(full, exact=False)
    assert not abs(wrong.value - truth) <= wrong.stderr or math.isinf(wrong.stderr)
    monkeypatch.setattr(module, "_Squared", squared)
    assert condition_number(full, exact=False).value == pytest.approx(truth, rel=0.1)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([1e-2, 1e-4, 1e-7]), st.booleans())
def test_errors_are_bounds(seed, rtol, indefinite):
    torch.manual_seed(seed)
    values = torch.rand(40).double() + 0.05
    values[:10] *= -1 if indefinite else 1
    found = condition_number(Dense(matrix(values, seed=seed)), exact=False, rtol=rtol, seed=seed)
    assert found.value <= kappa(values) * (1 + 1e-6)  # never too large
    if rtol == 1e-7:
        assert abs(found.value - kappa(values)) <= found.stderr + 1e-6


def test_single_precision():
    values = torch.linspace(0.5, 5, 100)
    for exact in (True, False):
        found = condition_number(Dense(matrix(values, torch.float32)), exact=exact)
        assert abs(found.value - 10) <= found.stderr < 0.1


@pytest.mark.parametrize("products", [1, 3, 20])
def test_products_are_limited(products):
    op = Dense(matrix(SPECTRA["indefinite"]))
    found = condition_number(op, products=products)
    assert found.products == op.products <= products
    assert math.isinf(found.stderr) and 1 <= found.value <= kappa(SPECTRA["indefinite"])


def test_time_is_limited(monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = condition_number(Dense(matrix(torch.linspace(0.1, 5, 600))), seconds=2)
    assert math.isinf(found.stderr) and found.products < 100


def test_the_same_seed_gives_the_same_numbers():
    op, seen = Dense(matrix(SPECTRA["definite"])), []
    first = condition_number(op, exact=False, seed=3, progress=lambda *now: seen.append(now))
    second = condition_number(op, exact=False, seed=3)
    assert (first.value, first.stderr, first.products) == (second.value, second.stderr, second.products)
    assert seen


@pytest.mark.parametrize("exact", [True, False])
def test_bad_input_is_one_line(exact):
    with pytest.raises(BadUsage, match="finite number"):
        condition_number(Dense(torch.eye(5)), math.nan, exact=exact)
    with pytest.raises(BadUsage, match="rtol is a finite number"):
        condition_number(Dense(torch.eye(5)), rtol=-1, exact=exact)
    with pytest.raises(BadUsage, match="not finite"):
        condition_number(Broken(), exact=exact)
