"""The trace of a Hessian in parts: Gauss-Newton, the network's own curvature, the penalty."""

import math

import pytest
import torch
from matrices import calibration, scores, unbiased
from torch import nn

import losscope
from losscope.core.errors import NotReadable
from losscope.estimators.budget import Budget
from losscope.estimators.search import stages
from losscope.estimators.traces import residual_draws
from losscope.estimators.traces.draws import draw_until
from losscope.estimators.traces.gauss_newton_draws import Mixtures, gauss_newton_draws
from losscope.estimators.traces.gauss_newton_trace import gauss_newton_trace
from losscope.estimators.traces.hessian_trace import hessian_trace
from losscope.estimators.traces.trace import trace
from losscope.operators.dense import Dense
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.hessian import Hessian
from losscope.operators.layers import Layers
from losscope.operators.linearisation import linearise_one
from losscope.operators.multi_affine import offender
from losscope.operators.residual import PenaltyHessian, Residual


def ended(draws):
    """What draws give at their end."""
    *_, (found, done) = stages(draws)
    assert done
    return found


def classifier(activation, *, classes=5, seed=0, samples=24, penalty=0.1):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), activation, nn.Linear(6, classes)).double()
    x, y = torch.randn(samples, 4).double(), torch.randint(classes, (samples,))
    return losscope.Objective(model, nn.CrossEntropyLoss(), (x, y), penalty)


class Twice(nn.Module):
    """One matrix, used twice in a row."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(4, 4)

    def forward(self, x):
        return self.line(torch.relu(self.line(x)))


def images(model):
    torch.manual_seed(2)
    x, y = torch.randn(9, 1, 6, 6).double(), torch.randint(3, (9,))
    return losscope.Objective(model.double(), nn.CrossEntropyLoss(), (x, y))


def convolutional(activation=None):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3).eval(),
        activation or nn.LeakyReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(27, 3),
    )


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ReLU(), nn.GELU()])
def test_the_hessian_is_gauss_newton_and_the_residual(activation):
    objective = classifier(activation)
    both = GaussNewton(objective).dense() + Residual(objective).dense()
    assert torch.allclose(both, Hessian(objective).dense(), rtol=1e-12, atol=1e-14)
    assert torch.equal(PenaltyHessian(objective).dense(), 0.1 * torch.eye(objective.size).double())


@pytest.mark.parametrize(
    "objective",
    [classifier(nn.ReLU(), samples=2), images(convolutional()), classifier(nn.Hardtanh(), classes=2)],
    ids=["few samples", "images", "two outputs"],
)
def test_a_piecewise_linear_network_has_no_curvature_of_its_own(objective):
    """Its residual is not 0, but the diagonal of it is: tr ∇²L = tr GaussNewton, to the last digits."""
    residual, truth = Residual(objective).dense(), float(Hessian(objective).dense().trace())
    assert float(residual.norm()) > 1e-2 and not residual.diagonal().any()
    found = hessian_trace(objective, rtol=0)
    assert found.stderr == 0.0 and found.value == pytest.approx(truth, rel=1e-12)


def test_the_operations_count_and_not_the_names_of_modules():
    class Relu(torch.autograd.Function):
        """A smooth activation under a name that promises another."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    class Named(nn.Module):
        def forward(self, x):
            return Relu.apply(x)

    found = [
        offender(linearise_one(objective, 0).predictions)
        for objective in (classifier(Named()), classifier(nn.GELU()), classifier(nn.Hardswish()))
    ]
    assert found == ["ReluBackward", "Gelu", "Hardswish"]


def test_shared_weights_are_not_linear_and_not_drawn_by_layers():
    torch.manual_seed(0)
    model, x = Twice().double(), torch.randn(12, 4).double()
    objective = losscope.Objective(model, nn.MSELoss(), (x, x.flip(0)))
    assert offender(linearise_one(objective, 0).predictions) == "Addmm"
    with pytest.raises(NotReadable, match="share a parameter"):
        hessian_trace(objective)
    found = trace(Hessian(objective))
    assert found.value == pytest.approx(float(Hessian(objective).dense().trace()))


def test_batch_statistics_are_left_to_the_general_way():
    objective = images(convolutional().train())
    with pytest.raises(NotReadable, match="mixes the samples"):
        hessian_trace(objective)
    assert trace(Hessian(objective), products=4).stderr > 0


def drawn(objective, seeds, rtol=0.3):
    return [hessian_trace(objective, rtol, products=30, seed=seed) for seed in range(seeds)]


def right(found, truth):
    return (
        unbiased(found, truth)
        and 0.8 < calibration(found, truth) < 1.25
        and float((scores(found, truth).abs() < 2).double().mean()) > 0.88
    )


def smooth():
    return classifier(nn.Tanh(), samples=40)


def test_unbiased_with_the_right_standard_error_quickly():
    objective = smooth()
    truth = float(Hessian(objective).dense().trace())
    found = drawn(objective, 40)
    assert unbiased(found, truth) and 0.7 < calibration(found, truth) < 1.4
    assert max(e.products for e in found) < 30


@pytest.mark.thorough
@pytest.mark.parametrize("objective", [smooth(), images(convolutional(nn.GELU()))], ids=["tanh", "gelu"])
def test_unbiased_with_the_right_standard_error(objective):
    assert right(drawn(objective, 200), float(Hessian(objective).dense().trace()))


def moves_of_the_whole_batch(layers, prepared, random):
    """The planted mutant: one α ⊗ β for all samples, whose errors then do not average out as is claimed."""
    return [m[:1].expand_as(m) for m in original(layers, prepared, random)]


original = residual_draws.moves


def test_one_move_for_all_samples_is_rejected(monkeypatch):
    monkeypatch.setattr(residual_draws, "moves", moves_of_the_whole_batch)
    objective = smooth()
    truth = float(Hessian(objective).dense().trace())
    found = drawn(objective, 16)
    assert not (unbiased(found, truth) and 0.7 < calibration(found, truth) < 1.4)


def test_to_leave_out_the_networks_own_curvature_is_rejected(monkeypatch):
    """The planted mutant takes every network for piecewise linear."""
    objective = classifier(nn.Tanh(), samples=12, penalty=None)
    residual = float(Residual(objective).dense().trace())
    truth = float(Hessian(objective).dense().trace())
    random = torch.Generator().manual_seed(0)
    layers = Layers(objective, 0)
    budget = Budget(PenaltyHessian(objective), products=math.inf)
    found = [ended(residual_draws.of_batch(layers, lambda value: 0.0, budget, 8, random)) for _ in range(40)]
    mean = sum(part.value for part in found) / 40
    spread = (sum(part.variance for part in found) / 40 / 40) ** 0.5
    assert abs(mean - residual) < 4 * spread
    wrong = gauss_newton_trace(objective).value
    assert abs(wrong - truth) == pytest.approx(abs(residual), rel=1e-9) and abs(residual) > 1e-3


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")])
def test_draws_of_outputs_in_closed_form(loss, monkeypatch):
    """Many outputs: √p∘ξ - p(√p·ξ) has the covariance diag(p) - ppᵀ."""
    from losscope.estimators.traces import gauss_newton_draws as module

    objective = classifier(nn.Tanh(), samples=30)
    objective = losscope.Objective(objective.whole.model, loss, objective.batches)
    exact = gauss_newton_trace(objective).value
    monkeypatch.setattr(module, "MOST_OUTPUTS", 2)
    found = [gauss_newton_draws(objective, 0.2, seed=seed) for seed in range(40)]
    assert unbiased(found, exact) and 0.6 < calibration(found, exact) < 1.5


def test_mixtures_without_replacement():
    """All C of a sample make up C times the identity; each alone is of unit covariance over samples."""
    random = torch.Generator().manual_seed(0)
    mixtures = Mixtures(4000, 6, torch.zeros((), dtype=torch.float64), random)
    drawn = torch.stack([mixtures.next() for _ in range(6)])
    whole = torch.einsum("kni,knj->nij", drawn, drawn)
    torch.testing.assert_close(whole, 6 * torch.eye(6).double().expand(4000, 6, 6), rtol=1e-12, atol=1e-12)
    first = drawn[0].T @ drawn[0] / 4000
    torch.testing.assert_close(first, torch.eye(6).double(), rtol=0, atol=0.15)


def test_errors_of_draws_without_replacement():
    """K of C numbers: the stated variance is that of the means, and all C are exact."""
    torch.manual_seed(0)
    population = torch.rand(300, 8, dtype=torch.float64).exp()  # of 300 samples
    truth = float(population.mean(1).sum())
    scores, wrong = [], []
    for seed in range(300):
        random = torch.Generator().manual_seed(seed)
        order = torch.rand(300, 8, generator=random).argsort(1)
        columns = iter(population.gather(1, order).T)
        budget = Budget(Dense(torch.eye(1)))
        part = ended(draw_until(lambda c=columns: next(c), lambda _: math.inf, budget, of=8))
        assert budget.used < 8
        scores.append((part.value - truth) / part.variance**0.5)
        wrong.append((part.value - truth) / (part.variance / (1 - budget.used / 8)) ** 0.5)
    assert float(torch.tensor(scores).square().mean()) == pytest.approx(1, abs=0.25)
    assert float(torch.tensor(wrong).square().mean()) < 0.8  # the mutant with replacement's error
    columns = iter(population.T)
    budget = Budget(Dense(torch.eye(1)))
    whole = ended(draw_until(lambda: next(columns), lambda _: 0.0, budget, of=8))
    assert whole.value == pytest.approx(truth, rel=1e-14) and whole.variance == 0 and budget.used == 8


def test_half_precision_is_not_called_exact():
    """The value is off by roundings, and its error says so; in single precision it is 0."""
    for dtype in (torch.bfloat16, torch.float32):
        whole = classifier(nn.ReLU(), penalty=None)
        rounded = losscope.Objective(whole.whole.model, nn.CrossEntropyLoss(), whole.batches, dtype=dtype)
        found, exact = hessian_trace(rounded, 0.0), hessian_trace(whole, 0.0).value
        assert abs(found.value - exact) <= 2 * found.stderr + 1e-5 * exact
        assert (found.stderr > 0) == (dtype == torch.bfloat16)
