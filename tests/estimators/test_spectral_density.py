"""Stochastic Lanczos quadrature: known answers, right errors, bounds that hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matrices import SPECTRA, Broken, Clock, calibration, matrix, scores, unbiased

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.spectrum import quadrature as module
from losscope.estimators.spectrum.count_below import count_below
from losscope.estimators.spectrum.spectral_density import spectral_density
from losscope.operators.dense import Dense


def density(full, **options):
    return spectral_density(Dense(full), exact=False, **options)


def test_a_rule_is_the_spectral_measure_of_its_vector():
    """With as many steps as eigenvalues: nodes are the eigenvalues, weights the squares (vᵀu)²."""
    values = torch.tensor([-2.0, -0.5, 0.25, 1.0, 4.0]).double()
    full = matrix(values)
    found = density(full, probes=3, steps=5, seed=1)
    draw = module.Probes(Dense(full), 1).sphere(3) / 5**0.5
    _, vectors = torch.linalg.eigh(full)
    torch.testing.assert_close(found.nodes, values.expand(3, 5), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.weights, (draw.T @ vectors).square(), rtol=1e-8, atol=1e-12)
    assert float(found.rule.residuals.max()) < 1e-12


def test_moments_are_exact_to_twice_the_steps():
    """Gauss: k nodes integrate polynomials of degree 2k-1; against vᵀAᵖv."""
    full = matrix(torch.linspace(-1, 2, 60))
    found = density(full, probes=1, steps=4, seed=5)
    v = module.Probes(Dense(full), 5).sphere(1)[:, 0] / 60**0.5
    image = v
    for power in range(8):
        assert float((found.weights * found.nodes**power).sum()) == pytest.approx(float(v @ image), rel=1e-9)
        image = full @ image
    assert float((found.weights * found.nodes**8).sum()) != pytest.approx(float(v @ image), rel=1e-9)


def first_components(diagonal, beside, length):
    nodes, weights, residuals = RULE(diagonal, beside, length)
    return nodes, weights.sqrt() / weights.sqrt().sum(), residuals


def last_components(diagonal, beside, length):
    nodes, _, residuals = RULE(diagonal, beside, length)
    return nodes, residuals**2 / (residuals**2).sum(), residuals


RULE = module._rule


@pytest.mark.parametrize("mutant", [first_components, last_components])
def test_weights_that_are_not_squares_of_first_components_are_rejected(mutant, monkeypatch):
    """The mutant of a well-known package: components for squares, normalised to look right."""
    full = matrix(torch.cat([torch.linspace(-1, 1, 95), torch.linspace(20, 40, 5)]))
    truth = float(full.trace()) / 100
    right = density(full, probes=20, steps=20).moment(1)
    assert abs(right.value - truth) < 4 * right.stderr
    monkeypatch.setattr(module, "_rule", mutant)
    wrong = density(full, probes=20, steps=20).moment(1)
    assert abs(wrong.value - truth) > 1


@pytest.mark.thorough
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_moments_are_unbiased_with_the_right_errors(spectrum):
    values = SPECTRA[spectrum][::2]
    runs = [density(matrix(values), probes=16, steps=6, seed=seed) for seed in range(200)]
    for power in (1, 2, 4):
        truth = float((values.double() ** power).mean())
        found = [run.moment(power) for run in runs]
        assert unbiased(found, truth)
        assert 0.85 < calibration(found, truth) < 1.15
        assert float((scores(found, truth).abs() < 2).double().mean()) > 0.88


@given(st.integers(0, 10_000), st.integers(2, 12), st.floats(-2.5, 2.5))
def test_the_bounds_of_shares_hold_for_each_probe(seed, steps, x):
    """μ(-∞, x) of the probe's own measure lies within the stated bound of the quadrature's share, always."""
    torch.manual_seed(seed)
    values = torch.cat([torch.randn(20) * 0.3, torch.randn(5) * 2]).double()
    full = matrix(values, seed=seed)
    found = density(full, probes=4, steps=steps, seed=seed)
    draw = module.Probes(Dense(full), seed).sphere(4) / 5
    eigenvalues, vectors = torch.linalg.eigh(full)
    truth = ((draw.T @ vectors).square() * (eigenvalues < x)).sum(1)
    share, bound = found._shares(x)
    assert bool(((share - truth).abs() <= bound + 1e-10).all())


def test_bounds_are_narrow_where_eigenvalues_have_converged():
    full = matrix(torch.cat([torch.tensor([-3.0, -2.0]), torch.linspace(0.5, 1, 98)]))
    found = density(full, probes=10, steps=20)
    share, bound = found._shares(-0.7)
    truth = (found.weights * (found.nodes < -1)).sum(1)
    assert torch.equal(share, truth) and float(bound.max()) < 0.05
    assert abs(found.below(-0.7).value - 0.02) < 3 * found.below(-0.7).stderr


@pytest.mark.thorough
def test_shares_cover_the_truth():
    values = SPECTRA["indefinite"][::3]
    truth = float((values < 0.01).double().mean())
    found = [density(matrix(values), probes=16, steps=14, seed=seed).negative for seed in range(200)]
    assert unbiased(found, truth)
    assert 0.85 < calibration(found, truth) < 1.15  # all steps: no bias, so that errors are exact
    short = [density(matrix(values), probes=16, steps=5, seed=seed).negative for seed in range(50)]
    assert float((scores(short, truth).abs() < 2).double().mean()) >= 0.95


def test_zeros_are_on_neither_side():
    """A singular matrix: the share of negative eigenvalues is as uncertain as the zeros are many."""
    full = matrix(torch.cat([torch.zeros(30), -torch.ones(10), torch.ones(60)]))
    for found in (density(full), spectral_density(Dense(full))):
        assert abs(found.negative.value - 0.1) <= found.negative.stderr + 0.05
        assert 0.25 < found.negative.stderr < 0.4


def test_small_matrices_are_exact():
    values = torch.tensor([-1.0, 0.5, 0.5, 3.0]).double()
    found = spectral_density(Dense(matrix(values)))
    assert found.exact and found.products == 4
    assert found.moments[2].value == pytest.approx(float(values.square().mean()))
    assert (found.negative.value, found.negative.stderr) == (0.25, 0.0)
    assert found.cdf([-2.0, 0.0, 1.0, 4.0]).values.tolist() == pytest.approx([0, 0.25, 0.75, 1])
    assert found.moments[1].stderr == 0.0


def test_the_density_of_a_known_spectrum():
    """A semicircle, smoothed; and it integrates to 1."""
    torch.manual_seed(0)
    half = torch.randn(600, 600, dtype=torch.float64)
    full = (half + half.T) / math.sqrt(8 * 600)  # the semicircle of radius 1
    found = density(full, probes=10, steps=40)
    grid = torch.linspace(-1.5, 1.5, 301).double()
    curve = found.density(grid, 0.1)
    assert float(curve.values.sum() * 0.01) == pytest.approx(1, abs=1e-3)
    fine = torch.linspace(-1, 1, 4001).double()
    semicircle = 2 / math.pi * (1 - fine**2).clamp_min(0).sqrt()
    bells = torch.exp(-(((grid[:, None] - fine) / 0.1) ** 2) / 2) / (0.1 * math.sqrt(2 * math.pi))
    expected = (bells * semicircle).sum(1) * 0.0005
    assert bool(((curve.values - expected).abs() < 4 * curve.stderrs + 0.01).all())


def test_invariant_subspaces_end_a_rule_and_not_the_others():
    full = torch.zeros(50, 50, dtype=torch.float64)
    full[0, 0] = 2.0
    found = density(full, probes=3, steps=10)
    assert found.products == 6  # two steps each
    torch.testing.assert_close(found.weights.sum(1), torch.ones(3).double())
    assert found.moment(1).value == pytest.approx(0.04, abs=4 * found.moment(1).stderr)
    assert density(torch.zeros(50, 50).double(), probes=2, steps=10).products == 2


@pytest.mark.parametrize("products", [1, 5, 30, 65])
def test_products_are_limited(products):
    op, seen = Dense(matrix(torch.linspace(-1, 1, 300))), []
    found = spectral_density(op, products=products, progress=lambda *now: seen.append(now))
    assert found.products == op.products == seen[-1][0] <= products
    assert math.isinf(found.negative.stderr) == (products < 60)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(len(found.weights)).double())


def test_time_is_limited(monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = spectral_density(Dense(matrix(torch.linspace(-1, 1, 400))), seconds=6)
    assert found.products < 100 and found.nodes.shape[1] < 12


def test_memory_decides_how_many_run_at_once_and_nothing_else():
    full = matrix(torch.linspace(-1, 1, 100))
    one, many = (density(full, probes=5, steps=6, memory=memory) for memory in (1, 1e9))
    torch.testing.assert_close(one.nodes, many.nodes)
    torch.testing.assert_close(one.weights, many.weights)


def test_single_precision():
    values = torch.linspace(-1, 2, 200)
    found = density(matrix(values, torch.float32), probes=10, steps=60)
    assert found.nodes.dtype == torch.float64
    assert abs(found.moment(2).value - float(values.square().mean())) < 4 * found.moment(2).stderr
    assert abs(found.negative.value - 67 / 200) < 3 * found.negative.stderr


def test_counts():
    full = matrix(torch.linspace(-1, 2, 61))
    assert count_below(Dense(full), 0.01).value == pytest.approx(21)
    found = count_below(Dense(full), 0.01, exact=False, steps=61)
    assert abs(found.value - 21) < 3 * found.stderr and found.stderr < 5
    with pytest.raises(BadUsage, match="finite number"):
        count_below(Dense(full), math.nan)


def test_the_same_seed_gives_the_same_numbers():
    full = matrix(torch.linspace(-1, 1, 100))
    first, second, other = (density(full, probes=2, steps=5, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.nodes, second.nodes) and torch.equal(first.weights, second.weights)
    assert not torch.equal(first.nodes, other.nodes)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: spectral_density(d, probes=0), "probes is an integer"),
        (lambda d: spectral_density(d, steps=0), "steps is an integer"),
        (lambda d: spectral_density(d, products=0), "products is an integer"),
        (lambda d: spectral_density(d).density([0.0], 0), "width is a finite number above 0"),
        (lambda d: spectral_density(Broken()), "not finite"),
        (lambda d: spectral_density(Broken(), exact=False), "not finite"),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(BadUsage, match=says):
        call(Dense(torch.eye(5)))
