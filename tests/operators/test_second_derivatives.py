"""Second derivatives that torch gets wrong without a word are refused, in every way to ask for them; others are not."""

import sys
import warnings
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from references import small
from torch import nn
from torch.autograd.function import once_differentiable

import losscope
from losscope import estimators, operators
from losscope.core.errors import BadUsage
from losscope.kernels.comparison.movement import movement
from losscope.objective import evaluation
from losscope.operators import custom_functions, second_derivative, trial


def custom(backward, forward=torch.sin):
    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(ctx.saved_tensors[0], g)

    return Custom.apply


RIGHT = custom(lambda x, g: x.cos() * g)
DETACHED = custom(lambda x, g: x.detach().cos() * g)
ONCE = custom(once_differentiable(lambda x, g: x.cos() * g))
HALF = custom(lambda x, g: (0.5 * x.cos() + 0.5 * x.detach().cos()) * g)


class Between(nn.Module):
    def __init__(self, function, kink=False):
        super().__init__()
        self.a, self.b, self.function, self.kink = nn.Linear(4, 5), nn.Linear(5, 3), function, kink

    def forward(self, x):
        x = self.a(x)
        return self.b(self.function(x.relu() if self.kink else x))


def objective_of(model, dtype=torch.float64, loss=F.cross_entropy, **kwargs):
    torch.manual_seed(0)
    x, y = torch.randn(20, 4), torch.randint(3, (20,))
    return losscope.Objective(model.to(dtype), loss, (x.to(dtype), y), **kwargs)


FUSED = torch._weight_norm


class Fused(nn.Linear):
    """Weight normalisation by torch's kernel, which a model of one's own may call."""

    def __init__(self):
        super().__init__(4, 6)
        self.length = nn.Parameter(torch.rand(6, 1) + 0.5)

    def forward(self, x):
        return F.linear(x, FUSED(self.weight, self.length, 0), self.bias)


def fused():
    torch.manual_seed(0)
    return nn.Sequential(Fused(), nn.Tanh(), nn.Linear(6, 3))


def normalised(old=False):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        line = (nn.utils.weight_norm if old else nn.utils.parametrizations.weight_norm)(nn.Linear(4, 6))
    return nn.Sequential(line, nn.Tanh(), nn.Linear(6, 3))


ASKED = {
    "product": lambda o: operators.Hessian(o) @ torch.ones(o.size).to(o.parameters[0]),
    "a unit vector": lambda o: operators.Hessian(o) @ torch.eye(o.size)[0].to(o.parameters[0]),
    "dense": lambda o: operators.Hessian(o).dense(),
    "block": lambda o: operators.Hessian(o).block(slice(0, 2)).dense(),
    "residual": lambda o: operators.Residual(o).dense(),
    "trace": lambda o: estimators.trace(operators.Hessian(o)),
    "in parts": estimators.hessian_trace,
    "index": lambda o: estimators.index(operators.Hessian(o)),
    "logdet": lambda o: estimators.logdet(operators.Hessian(o).shifted(1.0)),
    "diagonal": lambda o: estimators.diagonal(operators.Hessian(o)),
    "density": lambda o: estimators.spectral_density(operators.Hessian(o)),
    "condition": lambda o: estimators.condition_number(operators.Hessian(o).shifted(1.0)),
}


@pytest.mark.parametrize(
    ("wrong", "asked"),
    [("detached", asked) for asked in ASKED]
    + [("weight_norm", asked) for asked in ("a unit vector", "index", "density", "residual")]
    + [("once", asked) for asked in ("dense", "trace")],
)
def test_wrong_second_derivatives_are_refused(wrong, asked):
    model = fused() if wrong == "weight_norm" else Between({"detached": DETACHED, "once": ONCE}[wrong])
    objective = objective_of(model)
    named = wrong if wrong == "weight_norm" else "Custom"
    for _ in range(2):  # and the second time
        with pytest.raises(BadUsage, match=f"second derivative.*{named}"):
            ASKED[asked](objective)


@pytest.mark.parametrize("old", [False, True])
def test_weight_norm_of_both_kinds(old, monkeypatch):
    """Right by finite differences; torch's own functions stay. The planted mutant is torch's kernel."""
    objective, before = objective_of(normalised(old)), torch._weight_norm
    found, theta, step = operators.Hessian(objective).dense(), objective.theta, 1e-5
    eye = step * torch.eye(objective.size).double()
    columns = [(objective.gradient(theta + e) - objective.gradient(theta - e)) / (2 * step) for e in eye]
    torch.testing.assert_close(found, torch.stack(columns, 1), rtol=1e-6, atol=1e-9)
    assert torch._weight_norm is before is sys.modules["torch.nn.utils.weight_norm"]._weight_norm
    operators.KFAC(objective), operators.GaussNewton(objective).dense()
    assert any("spectrum" in look for look in losscope.examine(objective, 20, only=["spectrum"]).looks)
    monkeypatch.setattr(evaluation, "weight_norm_by_parts", nullcontext)
    with pytest.raises(BadUsage, match="weight_norm"):
        operators.Hessian(objective_of(normalised(old))).dense()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kink", [False, True])
@pytest.mark.parametrize("function", [DETACHED, HALF])
def test_in_every_precision(function, kink, dtype):
    with pytest.raises(BadUsage, match="Custom"):
        operators.Hessian(objective_of(Between(function, kink), dtype)).dense()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kink", [False, True])
def test_a_right_custom_function_is_believed(kink, dtype):
    objective = objective_of(Between(RIGHT, kink), dtype)
    for made in (operators.Hessian, operators.Residual, operators.GaussNewton, operators.GradientCovariance):
        made(objective).dense()
    operators.NTK(objective) @ torch.ones(60).to(dtype)
    if dtype == torch.float64:
        theta, step = objective.theta, 1e-5 * torch.eye(objective.size).double()
        rows = [(objective.gradient(theta + e) - objective.gradient(theta - e)) / 2e-5 for e in step]
        torch.testing.assert_close(
            operators.Hessian(objective).dense(), torch.stack(rows), rtol=0, atol=1e-7 if not kink else 1e-6
        )


def test_many_kinks_are_no_contradiction():
    """Between the points of a difference lie kinks of many units and samples."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(20, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), Between_(), nn.Linear(300, 3)
    )
    x, y = torch.randn(2000, 20), torch.randint(3, (2000,))
    trial.try_second_derivatives(losscope.Objective(model, F.cross_entropy, (x, y)))


class Between_(nn.Module):
    def forward(self, x):
        return RIGHT(x)


def test_torchs_own_operations_cost_one_forward_pass(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(trial, "_contradicted", fail)
    objective = objective_of(small())
    assert trial.foreign(objective) == []
    operators.Hessian(objective).dense()
    with pytest.raises(AssertionError):
        operators.Hessian(objective_of(Between(RIGHT))).dense()


@pytest.mark.parametrize("made", ["GaussNewton", "GradientCovariance", "Fisher", "Jacobian", "NTK"])
def test_what_needs_no_second_derivative_of_the_network(made):
    """A detached value spoils ∇²f, and not J; a function that is differentiable once spoils Jv as well."""

    def product(objective):
        operator = getattr(operators, made)(objective)
        return operator @ torch.ones(operator.shape[1]).double()

    reference = product(objective_of(small_of(Between(torch.sin))))
    torch.testing.assert_close(product(objective_of(small_of(Between(DETACHED)))), reference)
    with pytest.raises(BadUsage, match="Custom"):
        product(objective_of(small_of(Between(ONCE))))


def small_of(model):
    torch.manual_seed(3)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def test_a_custom_loss_and_a_custom_penalty():
    loss = lambda p, y: DETACHED(p).square().mean() + F.cross_entropy(p, y)  # noqa: E731
    for made in (operators.Hessian, operators.GaussNewton):
        with pytest.raises(BadUsage, match="Custom"):
            made(objective_of(small(), loss=loss)).dense()
        penalty = lambda model: DETACHED(model[0].weight).sum()  # noqa: E731
        with pytest.raises(BadUsage, match="Custom"):
            made(objective_of(small(), penalty=penalty)).dense()


def test_other_parameters_are_tried_again():
    """At 0 the wrong derivative of x³ is right."""
    cube = custom(lambda x, g: 3 * x.detach() ** 2 * g, lambda x: x**3)
    model = Between(cube)
    nn.init.zeros_(model.a.weight), nn.init.zeros_(model.a.bias)
    objective = objective_of(model)
    operators.Hessian(objective).dense()
    with torch.no_grad():
        model.a.weight.normal_()
    with pytest.raises(BadUsage, match="Custom"):
        operators.Hessian(objective).dense()


def test_trying_does_not_count_and_changes_nothing():
    for model in (small(), Between(RIGHT)):
        objective = objective_of(model)
        state, random = {n: t.clone() for n, t in model.state_dict().items()}, torch.get_rng_state()
        hessian = operators.Hessian(objective)
        hessian @ torch.ones(objective.size).double()
        assert hessian.products == 1
        assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())
        assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize(
    ("where", "name", "mutant", "wrong"),
    [
        (trial, "_off", lambda *_: False, DETACHED),
        (custom_functions, "KNOWN_WRONG", {}, None),
    ],
    ids=["no differences", "weight_norm unknown"],
)
def test_planted_mistakes_are_noticed(monkeypatch, where, name, mutant, wrong):
    """Without differences a symmetric mistake passes; without a name weight_norm still fails by its asymmetry."""
    monkeypatch.setattr(where, name, mutant)
    if wrong is not None:
        operators.Hessian(objective_of(Between(wrong))).dense()
        return
    with pytest.raises(BadUsage, match="not symmetric"):
        operators.Hessian(objective_of(fused())).dense()
    monkeypatch.setattr(second_derivative.SecondDerivative, "asymmetry", lambda *_: None)
    operators.Hessian(objective_of(fused())).dense()


class Last(nn.Module):
    """The custom function makes the predictions themselves: J v is 0, which is as symmetric as can be."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(4, 3).double()

    def forward(self, x):
        return ONCE(self.line(x))


@pytest.mark.parametrize("kind", ["GaussNewton", "GradientCovariance", "Fisher", "NTK", "Jacobian"])
def test_a_pullback_that_cannot_be_differentiated_is_no_zero(kind):
    torch.manual_seed(0)
    data = torch.randn(6, 4).double(), torch.randint(3, (6,))
    op = getattr(operators, kind)(losscope.Objective(Last(), nn.CrossEntropyLoss(), data))
    with pytest.raises(BadUsage, match="transpose"):
        op @ torch.ones(op.shape[1]).double()


@pytest.mark.parametrize("wrong", [ONCE, DETACHED])
@pytest.mark.parametrize("estimate", ["gauss_newton_trace", "gauss_newton_draws", "hessian_trace"])
def test_a_custom_function_in_the_loss_is_no_exact_trace(estimate, wrong):
    torch.manual_seed(0)
    x, y = torch.randn(6, 4).double(), torch.randint(3, (6,))
    objective = losscope.Objective(
        nn.Linear(4, 3).double(), lambda f, t: F.cross_entropy(wrong(f), t), (x, y)
    )
    with pytest.raises(BadUsage, match="second derivative"):
        getattr(estimators, estimate)(objective)
    with pytest.raises(BadUsage, match="second derivative"):
        operators.Diagonal(objective)


@pytest.mark.parametrize("wrong", [ONCE, DETACHED])
def test_a_wrong_curvature_of_the_loss_is_no_fisher_rao_norm(wrong):
    torch.manual_seed(0)
    data = torch.randn(6, 4).double(), torch.randint(3, (6,))
    loss = lambda f, t: F.cross_entropy(wrong(f), t)  # noqa: E731
    with pytest.raises(BadUsage, match="second derivative"):
        estimators.fisher_rao_norm(losscope.Objective(nn.Linear(4, 3).double(), loss, data), "exact")


def test_a_wrong_linearisation_is_no_movement():
    """The product with the Jacobian is tried, as those of the operators are."""
    torch.manual_seed(0)
    data = torch.randn(6, 4).double(), torch.randint(3, (6,))
    objective = losscope.Objective(Last(), nn.CrossEntropyLoss(), data)
    for ask in (
        lambda: movement(objective, objective.theta + 0.1),
        lambda: estimators.fisher_rao_norm(objective),
        lambda: estimators.homogeneity(objective),
    ):
        with pytest.raises(BadUsage, match="transpose"):
            ask()
