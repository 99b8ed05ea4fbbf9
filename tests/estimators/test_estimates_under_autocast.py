"""What is computed under autocast: it works, in the precision of the sums, and owns up to the rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.estimators.extremes.condition_number import condition_number
from losscope.estimators.extremes.lanczos import eigsh
from losscope.estimators.extremes.track import track
from losscope.estimators.flatness.fisher_rao import fisher_rao_norm
from losscope.estimators.traces.gauss_newton_draws import gauss_newton_draws
from losscope.estimators.traces.gauss_newton_trace import gauss_newton_trace
from losscope.estimators.traces.gradient_covariance_trace import gradient_covariance_trace
from losscope.estimators.traces.hessian_trace import hessian_trace
from losscope.objective import objective as objective_module
from losscope.operators.diagonal import Diagonal
from losscope.operators.ekfac import EKFAC
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.hessian import Hessian
from losscope.operators.kfac import KFAC

HALF = torch.bfloat16
ROUNDINGS = 8 * torch.finfo(HALF).eps


class Auto(nn.Module):
    """A model that computes in half precision, as its author wrote it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        with torch.autocast("cpu", HALF):
            return self.model(x)


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.inner(x, x, x, need_weights=False)[0][:, 0])


MODELS = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)),
        lambda: torch.randn(12, 6),
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
        lambda: torch.randn(12, 1, 4, 4),
    ),
    "words": (
        lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)),
        lambda: torch.randint(9, (12, 3)),
    ),
    "attention": (Attends, lambda: torch.randn(12, 3, 4)),
}


def problem(name):
    """Model, data, and the objective in single precision."""
    torch.manual_seed(0)
    model, x = (make() for make in MODELS[name])
    data = x, torch.randint(3, (12,))
    return model, data, losscope.Objective(model, F.cross_entropy, data)


def in_half(model, data):
    data = tuple(t.to(HALF) if t.is_floating_point() else t for t in data)
    return losscope.Objective(model.to(HALF), F.cross_entropy, data)


@pytest.mark.parametrize("made", [KFAC, EKFAC, Diagonal])
@pytest.mark.parametrize("name", list(MODELS))
def test_structured_matrices_under_autocast(name, made):
    """In the model, around the objective, and with parameters of half precision: as in single, but for rounding.

    Eigenvectors of eigenvalues that lie together turn freely with rounding, so that those of EKFAC are not compared.
    """
    model, data, exact = problem(name)
    expected = made(exact, "exact")
    plain, inverse = expected.dense(), expected.inverse(0.1).dense()
    with torch.autocast("cpu", HALF):
        around = losscope.Objective(model, F.cross_entropy, data)
        torch.testing.assert_close(made(exact, "exact").dense(), plain, rtol=0, atol=0)
        torch.testing.assert_close(expected.inverse(0.1).dense(), inverse, rtol=0, atol=0)
    for objective in (around, losscope.Objective(Auto(model), F.cross_entropy, data), in_half(model, data)):
        one = made(objective, "exact")
        dense, solved, sum_ = one.dense(), one.inverse(0.1).dense(), one.trace()
        assert list(one.structure.values()) == list(expected.structure.values())
        if made is not EKFAC:
            assert (dense.float() - plain).norm() <= ROUNDINGS * plain.norm()
            assert (solved.float() - inverse).norm() <= ROUNDINGS * inverse.norm()
        assert abs(sum_.value - expected.trace().value) <= 3 * sum_.stderr
        assert sum_.stderr == pytest.approx(torch.finfo(HALF).eps * sum_.value)
        assert 0 < one.logdet(1.0).stderr < 1
    assert expected.trace().stderr == expected.logdet(1.0).stderr == 0


EXACT = {
    "tr H by parts": lambda o: hessian_trace(o, 0.0),
    "tr GGN": gauss_newton_trace,
    "tr GGN, all draws": lambda o: gauss_newton_draws(o, 0.0),
    "tr C": gradient_covariance_trace,
    "Fisher-Rao": fisher_rao_norm,
    "Fisher-Rao, exact": lambda o: fisher_rao_norm(o, "exact"),
    "λmax": lambda o: eigsh(Hessian(o), 1, rtol=1e-6)[0],
    "λmax of a sum": lambda o: eigsh(GaussNewton(o) * 2 + Hessian(o).shifted(0.1), 1, rtol=1e-6)[0],
    "λmax, tracked": lambda o: track(Hessian(o), eigsh(Hessian(o), 1))[0],
    "κ": lambda o: condition_number(GaussNewton(o), 10.0),
}


@pytest.mark.parametrize("of", list(EXACT.values()), ids=list(EXACT))
def test_what_is_exact_but_for_rounding_says_so(of, monkeypatch):
    """With the planted mutant, which goes by the type of the parameters, a wrong value is called exact."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    data = torch.randn(40, 6), torch.randint(3, (40,))
    exact = of(losscope.Objective(model, F.cross_entropy, data, dtype=torch.float64)).value
    found = of(losscope.Objective(Auto(model), F.cross_entropy, data))
    assert abs(found.value - exact) <= 3 * found.stderr
    assert found.stderr >= torch.finfo(HALF).eps * abs(found.value) / 2
    single = losscope.Objective(model, F.cross_entropy, data)
    plain = of(single)
    with torch.autocast("cpu", HALF):
        around, again = losscope.Objective(model, F.cross_entropy, data), of(single)
    assert (again.value, again.stderr) == (plain.value, plain.stderr)
    assert (single.precision, around.precision) == (torch.float32, HALF)
    assert of(around).stderr >= found.stderr / 2
    monkeypatch.setattr(objective_module, "precision_of", lambda loss: torch.float32)
    called = of(losscope.Objective(Auto(model), F.cross_entropy, data))
    assert called.stderr < abs(called.value - exact) or called.stderr < 0.01 * found.stderr
