"""Estimates in stretches: together the same as in one go, whatever they were interrupted by."""

import inspect

import pytest
import torch
from matrices import SPECTRA, Clock, calibration, matrix, unbiased
from torch import nn

import losscope
from losscope import estimators
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators import budget as budget_module
from losscope.estimators import search as search_module
from losscope.estimators.traces import hutchinson as hutchinson_module
from losscope.operators.dense import Dense
from losscope.operators.hessian import Hessian

FULL = matrix(torch.linspace(0.1, 2, 120, dtype=torch.float64) ** 4)


def squared(eigenvalues):
    return eigenvalues**2


SAMPLED = {
    "hutchinson": lambda f: f(Dense(FULL), rtol=0, seed=3),
    "hutchpp": lambda f: f(Dense(FULL), rtol=0, sketch=4, seed=3),
    "xtrace": lambda f: f(Dense(FULL), rtol=0, seed=3),
    "diagonal": lambda f: f(Dense(FULL), rtol=0, seed=3),
    "logdet": lambda f: f(Dense(FULL), rtol=0, steps=8, exact=False, seed=3),
    "effective_dimension": lambda f: f(Dense(FULL), 0.3, rtol=0, steps=8, exact=False, seed=3),
    "spectral_density": lambda f: f(Dense(FULL), probes=12, steps=8, exact=False, seed=3),
    "count_below": lambda f: f(Dense(FULL), 0.7, probes=12, steps=8, exact=False, seed=3),
    "condition_number": lambda f: f(Dense(FULL - 0.3 * torch.eye(120)), exact=False, seed=3),
    "solve": lambda f: f(Dense(FULL), torch.ones(120, 2, dtype=torch.float64), rtol=1e-10),
}


def numbers(found):
    if isinstance(found, Estimate):
        return torch.tensor([found.value, found.stderr], dtype=torch.float64)
    kinds = {"Diagonal": ("values", "stderrs"), "SpectralDensity": ("nodes", "weights"), "Solution": ("x",)}
    return torch.cat([getattr(found, name).flatten() for name in kinds[type(found).__name__]])


@pytest.mark.parametrize("name", SAMPLED)
def test_stretches_are_the_same_as_one_go(name):
    """16 products three times, and 48 at once; of several processes as many run at once as fit into a stretch."""
    estimator = getattr(estimators, name)
    search = SAMPLED[name](estimator.search)
    for _ in range(3):
        found = search.run(products=16)
    whole = SAMPLED[name](lambda *a, **k: estimator(*a, **k, products=48))
    assert found.products == pytest.approx(48, abs=2) and found.products <= 48
    assert whole.products == pytest.approx(48, abs=2)
    torch.testing.assert_close(numbers(found), numbers(whole), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SAMPLED)
def test_stretches_end_where_one_go_ends(name, monkeypatch):
    """Cut short by time after every block; nothing is begun anew."""
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    estimator = getattr(estimators, name)
    search, found, stretches = SAMPLED[name](estimator.search), None, 0
    while not search.done and (found is None or found.products < 192):
        found, stretches = search.run(seconds=0.0), stretches + 1
    assert stretches > 3
    again = SAMPLED[name](lambda *a, **k: estimator(*a, **k, products=found.products))
    torch.testing.assert_close(numbers(found), numbers(again), rtol=1e-6, atol=1e-9)


def test_the_same_vectors_twice_are_rejected(monkeypatch):
    """The planted mutant goes on with the random numbers that it began with: an error bar that is too small."""
    full, seeds = matrix(SPECTRA["flat"]), range(200)

    def in_stretches():
        searches = [estimators.hutchinson.search(Dense(full), rtol=0, seed=seed) for seed in seeds]
        return [[search.run(products=8) for _ in range(4)][-1] for search in searches]

    truth = float(full.trace())
    found = in_stretches()
    assert unbiased(found, truth) and 0.85 < calibration(found, truth) < 1.15

    class Repeating(hutchinson_module.Probes):
        def signs(self, count):
            self._random.manual_seed(0 if not hasattr(self, "first") else self.first)
            return super().signs(count)

    def begin(op, seed):
        probes = Repeating(op, seed)
        probes.first = seed
        return probes

    monkeypatch.setattr(hutchinson_module, "Probes", begin)
    assert calibration(in_stretches(), truth) > 1.4


def objective(samples=40, activation=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), activation or nn.Tanh(), nn.Linear(9, 5)).double()
    x, y = torch.randn(samples, 6).double(), torch.randint(5, (samples,))
    batches = [(x[i : i + 7], y[i : i + 7]) for i in range(0, samples, 7)]
    return losscope.Objective(model, nn.CrossEntropyLoss(), batches, 0.1)


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ReLU()])
def test_the_trace_of_a_hessian_obeys_time_and_goes_on(activation, monkeypatch):
    """Batches that were not reached leave the error open; in the end it is as in one go."""
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    hessian = Hessian(objective(activation=activation))
    truth = float(hessian.dense().trace())
    whole = estimators.trace(hessian, 0.05)
    search = estimators.trace.search(hessian, 0.05)
    first = search.run(seconds=0.0)
    assert first.products < whole.products / 3 and first.stderr == float("inf")
    assert 0.2 < first.value / truth < 5
    for _ in range(1000):
        last = search.run(seconds=5.0)
        if search.done:
            break
    assert last.value == pytest.approx(whole.value, rel=1e-9)
    assert last.stderr == pytest.approx(whole.stderr, rel=1e-9) and last.products == whole.products
    assert abs(last.value - truth) < 4 * last.stderr + 1e-12


def test_an_index_in_stretches(monkeypatch):
    """What is held moves on, and nothing is claimed on the way that the end does not bear out."""
    indefinite = Dense(FULL - 0.3 * torch.eye(120))
    truth = int((torch.linalg.eigvalsh(indefinite.dense()) < 0).sum())
    search = estimators.index.search(indefinite, exact=False)
    for _ in range(200):
        found = search.run(products=20)
        assert found.lower <= truth <= found.upper
        if search.done:
            break
    assert found.decided and found.lower == truth and search.done


def test_a_search_that_is_over_stays():
    search = estimators.trace.search(Dense(torch.diag(torch.arange(10.0))))
    assert search.run().value == search.run().value == 45.0
    assert search.run(products=1).products == 10


def test_an_interruption_keeps_the_last_answer():
    class Impatient(Dense):
        calls = 0

        def apply(self, vectors):
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().apply(vectors)

    search = estimators.hutchinson.search(Impatient(FULL), rtol=0)
    first = search.run(products=16)
    with pytest.raises(KeyboardInterrupt):
        search.run()
    assert search.done and search.run() is first


def test_what_is_refused():
    with pytest.raises(TypeError, match="nothing"):
        estimators.trace.search(Dense(FULL), nothing=1)
    with pytest.raises(BadUsage, match="seconds"):
        estimators.trace.search(Dense(FULL)).run(seconds=-1)


def test_signatures_say_what_comes_back():
    for name in [*SAMPLED, "trace", "hessian_trace", "index"]:
        estimator = getattr(estimators, name)
        answer = inspect.signature(estimator).return_annotation
        assert answer is estimator.__annotations__["return"] and answer.__name__ in (
            "Estimate",
            "Diagonal",
            "SpectralDensity",
            "Solution",
            "Index",
        )
        assert not inspect.isgeneratorfunction(estimator)
    assert search_module.Search in (estimators.Search,)
