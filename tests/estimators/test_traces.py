"""Traces: unbiased, with standard errors that are right; what each algorithm is for; ends that are not luck."""

import pytest
import torch
from matrices import SPECTRA, Broken, Clock, calibration, matrix, scores, unbiased

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.samples import LEAST, Samples, caution
from losscope.estimators.traces import hutchinson as hutchinson_module
from losscope.estimators.traces import xtrace as xtrace_module
from losscope.estimators.traces.hutchinson import hutchinson
from losscope.estimators.traces.hutchpp import hutchpp
from losscope.estimators.traces.trace import trace
from losscope.estimators.traces.xtrace import LeaveOneOut, xtrace
from losscope.operators.dense import Dense

ALL = [hutchinson, hutchpp, xtrace, trace]
SEEDS = 200


def repeated(estimator, full, **options):
    return [estimator(Dense(full), rtol=0, seed=seed, **options) for seed in range(SEEDS)]


@pytest.mark.thinned(4)  # each estimator and each spectrum once
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("estimator", [hutchinson, hutchpp, xtrace])
def test_unbiased_with_the_right_standard_error(estimator, spectrum):
    full = matrix(SPECTRA[spectrum])
    truth = float(full.trace())
    found = repeated(estimator, full, products=32)
    assert unbiased(found, truth)
    assert 0.55 < calibration(found, truth) < 1.1
    assert float((scores(found, truth).abs() < 2).double().mean()) > 0.92


STEEP = {
    "powers of two": 0.5 ** torch.arange(150, dtype=torch.float64),
    "squares": 1 / torch.arange(1, 151, dtype=torch.float64) ** 2,
    "one outlier": torch.cat([torch.tensor([10.0]), torch.full((149,), 1e-3)]).double(),
}


def beyond(estimator, spectrum, sigmas=3.0):
    """The share of 200 seeds whose value lies so many stated errors from the truth, at the usual tolerance."""
    full = Dense(matrix(STEEP[spectrum]))
    found = [estimator(full, seed=seed) for seed in range(SEEDS)]
    return float((scores(found, float(STEEP[spectrum].sum())).abs() > sigmas).double().mean())


@pytest.mark.thinned(4)  # each estimator and each spectrum once
@pytest.mark.parametrize("spectrum", STEEP)
@pytest.mark.parametrize("estimator", [hutchpp, xtrace, trace])
def test_errors_hold_where_few_eigenvalues_make_up_what_is_left(estimator, spectrum):
    """A normal error is beyond three of its own in 0.3 % of all cases: at most 3 of 200 with probability 0.998."""
    assert beyond(estimator, spectrum) <= 0.015


def test_the_spread_of_few_samples_alone_is_rejected(monkeypatch):
    """The planted mutant believes eight samples: what is left after a basis is like χ² of one or two degrees."""
    for module in (xtrace_module, hutchinson_module):
        monkeypatch.setattr(module, "student", lambda count: 1.0)
        monkeypatch.setattr(module, "spread_of_forms", lambda square, trace, size: 0.0)
    assert beyond(xtrace, "powers of two") > 0.03 and beyond(hutchpp, "powers of two") > 0.03


def without_covariance(search, traces):
    return 0.0


def test_the_error_estimate_of_the_paper_alone_is_rejected(monkeypatch):
    """Leave-one-out estimates are correlated; taken for independent their mean looks better than it is."""
    monkeypatch.setattr(LeaveOneOut, "covariance", without_covariance)
    full = matrix(SPECTRA["flat"])
    assert calibration(repeated(xtrace, full, products=32), float(full.trace())) > 1.25


def test_a_basis_that_holds_the_tested_vector_is_rejected(monkeypatch):
    """The planted mutant: nothing is left out, so that samples and basis depend on each other."""

    def nothing_left_out(self):
        return self._images * 0 + 1e-300, self._overlaps, torch.ones(len(self), dtype=torch.float64)

    full = matrix(SPECTRA["decaying"] + 0.3)
    monkeypatch.setattr(LeaveOneOut, "_left_out", nothing_left_out)
    monkeypatch.setattr(LeaveOneOut, "covariance", without_covariance)
    found = repeated(xtrace, full, products=16)
    assert not unbiased(found, float(full.trace()))


def test_samples_inside_the_basis_are_rejected(monkeypatch):
    """The planted mutant of Hutch++: the samples are not projected, and the basis is counted twice."""
    from losscope.estimators.traces import hutchinson as module

    monkeypatch.setattr(module, "without", lambda basis, vectors, passes: (vectors, None))
    full = matrix(SPECTRA["decaying"])
    assert not unbiased(repeated(hutchpp, full, products=32), float(full.trace()))


def test_the_formulas_are_those_of_leaving_out_one_by_one():
    """Each t_i, and each t_ij, against a basis that is factored anew."""
    full, op = matrix(SPECTRA["indefinite"]), Dense(matrix(SPECTRA["indefinite"]))
    search = LeaveOneOut(budget_module.Budget(op), xtrace_module.Probes(op, 0))
    assert search.grow(3) and search.grow(3)
    tests = xtrace_module.Probes(op, 0).sphere(6)
    n = op.size

    def direct(i, left_out):
        kept = [j for j in range(6) if j not in left_out]
        basis, _ = torch.linalg.qr(full @ tests[:, kept])
        rest = tests[:, i] - basis @ (basis.T @ tests[:, i])
        return (basis.T @ full @ basis).trace() + (n - len(kept)) * (rest @ full @ rest) / (rest @ rest)

    assert search.traces().values == pytest.approx([float(direct(i, {i})) for i in range(6)])
    pairs = [
        (direct(i, {i}) - direct(i, {i, j})) * (direct(j, {j}) - direct(j, {i, j}))
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    assert search.covariance(search.traces()) == pytest.approx(max(0.0, float(sum(pairs)) / 30))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [0, 1, 5, 8, 12])
@pytest.mark.parametrize("estimator", [xtrace, hutchpp, trace])
def test_low_rank_is_found_up_to_rounding(estimator, rank, dtype):
    """Where XTrace's inverse factor does not exist. A rank above the first block is found by the next one."""
    values = torch.cat([torch.linspace(1, 3, rank), torch.zeros(300 - rank)])
    found = estimator(Dense(matrix(values, dtype)), rtol=1e-4)
    truth = float(values.double().sum())
    assert abs(found.value - truth) <= max(6 * found.stderr, 1e-12) <= 1e-3
    assert found.products <= 70


def test_a_low_rank_and_a_small_tail():
    """The tail is far below the largest eigenvalue, and half of the trace."""
    values = torch.cat([torch.full((4,), 1e5), torch.full((400,), 1e3)]).double()
    found = trace(Dense(matrix(values, torch.float32)), rtol=1e-3)
    assert abs(found.value - float(values.sum())) <= 4 * found.stderr + 10


@pytest.mark.parametrize("estimator", [hutchinson, xtrace, trace])
def test_a_trace_near_zero_is_measured_by_the_norm(estimator):
    """No relative error of 0 can be reached: the search ends all the same, and not at n products."""
    values = torch.linspace(-1, 1, 150, dtype=torch.float64)
    full = matrix(values)
    frobenius = float(values.norm())
    found = estimator(Dense(full), rtol=0.2, products=140)
    assert found.products < 140
    assert 0 < found.stderr <= 0.2 * frobenius
    assert abs(found.value - float(values.sum())) <= 4 * found.stderr


@pytest.mark.parametrize("estimator", [hutchinson, xtrace])
def test_no_end_by_luck(estimator):
    """One eigenvalue among 100: two or three samples often agree on a trace that is far too small."""
    full = matrix(torch.cat([torch.tensor([50.0]), torch.full((99,), 0.5)]))
    truth = float(full.trace())
    found = [estimator(Dense(full), rtol=0.1, seed=seed) for seed in range(60)]
    assert min(f.products for f in found) >= LEAST
    assert sum(abs(f.value - truth) > 0.3 * truth for f in found) == 0


def test_the_rule_for_ending_rejects_two_samples():
    """The planted mutant is the bare standard error: of pairs that agree to 2 % by luck one in 60 would do."""
    assert caution(2) == caution(LEAST - 1) == float("inf")
    assert caution(LEAST) == pytest.approx((7 / 2.167) ** 0.5, rel=0.01)  # the 5 % point of χ² with 7 degrees
    assert caution(1001) == pytest.approx((1000 / 927.6) ** 0.5, rel=0.001)
    torch.manual_seed(0)
    draws = 1 + 0.5 * torch.randn(4000, LEAST, dtype=torch.float64)
    below = [Samples(row).stderr * caution(LEAST) < 0.5 / LEAST**0.5 for row in draws.tolist()]
    assert sum(below) / 4000 == pytest.approx(0.05, abs=0.012)


def test_each_is_cheap_where_it_should_be():
    decaying = Dense(matrix(0.6 ** torch.arange(200.0)))
    flat = Dense(matrix(torch.linspace(1, 1.1, 200)))
    low = Dense(matrix(torch.cat([torch.ones(30), torch.zeros(570)])))
    assert xtrace(decaying, rtol=0.01).products < 60
    assert hutchinson(decaying, rtol=0.01).products > 500
    assert hutchinson(flat, rtol=0.02).products <= 16
    assert trace(flat, rtol=0.02).products <= 24
    assert trace(low, rtol=1e-4).products <= 80
    assert trace(decaying, rtol=0.01).products < 60


def test_small_matrices_are_exact():
    full = matrix(torch.linspace(-1, 1, 50))
    found = trace(Dense(full))
    assert found.value == pytest.approx(float(full.trace()), abs=1e-13)
    assert (found.stderr, found.products) == (0.0, 50)
    assert trace(Dense(full), products=20).stderr > 0


def test_what_would_cost_more_than_all_is_exact():
    full = matrix(torch.linspace(-1, 1, 100))
    found = trace(Dense(full), rtol=1e-3)
    assert found.stderr == 0.0 and found.products <= 132
    assert found.value == pytest.approx(float(full.trace()), abs=1e-12)


@pytest.mark.parametrize("estimator", ALL)
def test_single_precision(estimator):
    full = matrix(torch.linspace(1, 2, 100), torch.float32)
    found = estimator(Dense(full), rtol=0.01)
    assert abs(found.value - 150) <= 4 * found.stderr + 1e-3


@pytest.mark.parametrize("products", [1, 2, 3, 4, 7, 20, 33])
@pytest.mark.parametrize("estimator", ALL)
def test_products_are_limited(estimator, products):
    op, seen = Dense(matrix(torch.linspace(-1, 1, 70))), []
    found = estimator(op, rtol=0, products=products, progress=lambda *now: seen.append(now))
    assert found.products == op.products <= products
    assert found.stderr > 0
    assert seen == sorted(seen, key=lambda now: now[0])


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("estimator", ALL)
def test_tiny_matrices(estimator, size):
    full = matrix(torch.linspace(1, 2, size))
    found = estimator(Dense(full), products=300)
    assert abs(found.value - float(full.trace())) <= 5 * found.stderr + 1e-9


@pytest.mark.parametrize("estimator", ALL)
def test_time_is_limited(estimator, monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = estimator(Dense(matrix(torch.linspace(-1, 1, 200))), rtol=0, seconds=6, products=10_000)
    assert 5 <= found.seconds < 30
    assert found.products <= 200


@pytest.mark.parametrize("estimator", ALL)
def test_the_same_seed_gives_the_same_numbers(estimator):
    op = Dense(matrix(torch.linspace(0, 1, 80)))
    first, second, other = (estimator(op, rtol=0, products=40, seed=seed) for seed in (3, 3, 4))
    assert (first.value, first.stderr) == (second.value, second.stderr)
    assert first.value != other.value


@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rtol": "0.1"}, "rtol is a finite number"),
        ({"products": 2.5}, "products is an integer"),
        ({"rtol": -1}, "rtol is a finite number"),
        ({"rtol": float("nan")}, "rtol is a finite number"),
        ({"products": 0}, "products is an integer"),
        ({"seconds": float("nan")}, "seconds is a finite number"),
    ],
)
def test_bad_input_is_one_line(estimator, options, says):
    with pytest.raises(BadUsage, match=says) as caught:
        estimator(Dense(torch.eye(100)), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("estimator", ALL)
def test_products_that_are_not_finite(estimator):
    with pytest.raises(BadUsage, match="not finite"):
        estimator(Broken())


def test_a_sketch_has_columns():
    with pytest.raises(BadUsage, match="sketch is an integer"):
        hutchpp(Dense(torch.eye(100)), sketch=0)


def test_memory_bounds_the_basis(monkeypatch):
    """Room for 8 test vectors only: the rest is sampled, still unbiased, still with the right error."""
    widths = []
    grown = LeaveOneOut._extend
    monkeypatch.setattr(
        LeaveOneOut, "_extend", lambda self, *new: (grown(self, *new), widths.append(len(self)))[0]
    )
    full = matrix(SPECTRA["flat"])
    for estimator in (xtrace, trace):
        found = repeated(estimator, full, products=36, memory=1)
        assert unbiased(found, float(full.trace()))
        assert 0.8 < calibration(found, float(full.trace())) < 1.15
    assert max(widths) == 8


def test_integers_are_no_operator():
    with pytest.raises(BadUsage, match="floating-point"):
        trace(Dense(torch.eye(100, dtype=torch.int64)))


def test_public_names():
    """No subpackage hides an estimator of the same name, whatever has been imported."""
    import losscope

    assert {"trace", "solve", "diagonal", "index", "spectral_density"} <= set(dir(losscope.estimators))
    for name in dir(losscope.estimators):
        assert callable(getattr(losscope.estimators, name))
        assert getattr(losscope.estimators, name).__doc__
    for estimator in ALL:
        assert getattr(losscope.estimators, estimator.__name__) is estimator
