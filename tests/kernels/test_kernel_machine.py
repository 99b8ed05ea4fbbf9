"""Kernel machines against closed forms, scikit-learn; certificates; wrong factors are rejected."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.svm import LinearSVC
from torch import nn

from losscope.core.errors import BadUsage
from losscope.kernels.functions.empirical_ntk import EmpiricalNTK
from losscope.kernels.functions.polynomial import Linear
from losscope.kernels.functions.rbf import RBF
from losscope.kernels.machines.machine import kernel_machine
from losscope.kernels.machines.same_norm import at_norm
from losscope.objective.objective import Objective

N = 40


@pytest.fixture(scope="module")
def data():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=random, dtype=torch.float64)
    return x, x[:, 0].sin() + 0.2 * torch.randn(N, generator=random, dtype=torch.float64)


def factor(gram):
    """Features whose scalar products are the kernel: for methods that know no kernels."""
    values, vectors = torch.linalg.eigh(gram)
    return (vectors * values.clamp_min(0).sqrt()).numpy()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(-6, 3))
def test_minimum_of_squares_is_the_closed_form(seed, n, exponent):
    """λ yᵀ (K + nλ I)⁻¹ y to 1e-10; n and λ apart, so that a missing n or ½ cannot hide."""
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(n, k, generator=random, dtype=torch.float64) for k in (3, 1))
    gram, penalty, y = RBF(1.0)(x), 10.0**exponent, y[:, 0]
    found = kernel_machine(RBF(1.0), x, y, penalty)
    closed = [
        s * penalty * float(y @ torch.linalg.solve(gram + c * penalty * torch.eye(n).double(), y))
        for s, c in ((1.0, n), (1.0, 1), (0.5, n), (1.0, 0.5 * n))
    ]
    assert found.value == pytest.approx(closed[0], rel=1e-10)
    f = gram @ found.coefficients
    assert found.data_value == pytest.approx(float((y - f).square().mean()), rel=1e-7)
    assert found.penalty_value == pytest.approx(penalty * float(found.coefficients @ f), rel=1e-9)
    assert found.norm**2 * penalty == pytest.approx(found.penalty_value)
    freedom = float(torch.trace(gram @ torch.linalg.inv(gram + n * penalty * torch.eye(n).double())))
    assert found.degrees_of_freedom == pytest.approx(freedom, rel=1e-6, abs=1e-9)
    if n > 2 and -4 < exponent < 1:  # the mutants: λ for nλ, ½ of the sum, ½ of the penalty
        assert all(abs(found.value - wrong) > 1e-6 * found.value for wrong in closed[1:])


def test_squares_as_scikit_learn(data):
    x, y = data
    both = torch.stack([y, y.square()], 1)
    new = x[:7] + 0.3
    for target, count in ((y, N), (both, 2 * N)):
        found = kernel_machine(RBF(1.5), x, target, 1e-3)
        wanted = KernelRidge(alpha=count * 1e-3, kernel="rbf", gamma=0.5 / 1.5**2).fit(x, target)
        torch.testing.assert_close(found.coefficients, torch.tensor(wanted.dual_coef_), rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(found.predict(new), torch.tensor(wanted.predict(new)))
        torch.testing.assert_close(found.predict(x), found.predictions)
    gram = kernel_machine(RBF(1.5)(x), None, y, 1e-3)
    torch.testing.assert_close(
        gram.predict(RBF(1.5)(new, x)), kernel_machine(RBF(1.5), x, y, 1e-3).predict(new)
    )


@pytest.mark.parametrize("penalty", [1e-4, 1e-2])
def test_convex_losses_as_scikit_learn(data, penalty):
    """½‖w‖² + C Σ ℓ has C = 1 / 2nλ; scikit-learn's own tolerance limits the agreement."""
    x, y = data
    phi, c = factor(RBF(1.5)(x)), 1 / (2 * N * penalty)
    classes = (y * 2).round().clamp(-1, 1).long() + 1
    options = {"fit_intercept": False, "tol": 1e-10, "max_iter": 100_000}
    found = kernel_machine(RBF(1.5), x, classes, penalty, "cross_entropy")
    wanted = LogisticRegression(C=c, **options).fit(phi, classes)
    torch.testing.assert_close(found.predictions, torch.tensor(phi @ wanted.coef_.T), rtol=1e-3, atol=1e-3)
    binary = (y > 0).double()
    found = kernel_machine(RBF(1.5), x, binary, penalty, nn.BCEWithLogitsLoss())
    wanted = LogisticRegression(C=c, **options).fit(phi, binary)
    torch.testing.assert_close(found.predictions, torch.tensor(phi @ wanted.coef_[0]), rtol=1e-3, atol=1e-3)
    found = kernel_machine(RBF(1.5), x, 2 * binary - 1, penalty, "squared_hinge")
    wanted = LinearSVC(C=c, dual=False, **options).fit(phi, binary)
    torch.testing.assert_close(found.predictions, torch.tensor(phi @ wanted.coef_[0]), rtol=1e-3, atol=1e-3)
    counts = y.exp().round()
    found = kernel_machine(RBF(1.5), x, counts, penalty, "poisson_nll")
    # ½‖w‖² alpha + half the mean deviance
    wanted = PoissonRegressor(alpha=2 * penalty, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(
        phi, counts
    )
    torch.testing.assert_close(found.predictions, torch.tensor(phi @ wanted.coef_), rtol=1e-3, atol=2e-3)


LOSSES = {
    "cross_entropy": "classes",
    "binary_cross_entropy_with_logits": "share",
    "poisson_nll": "counts",
    "huber": "real",
    "squared_hinge": "sign",
    "soft_margin": "sign",
    "log_cosh": "real",
    "expectile": "real",
    "smooth_l1": "real",
    "gamma_deviance": "positive",
    "tweedie_deviance": "positive",
    "rmse": "real",
    "logit_adjusted_cross_entropy": "classes",
}


def _targets(y, kind):
    made = {
        "classes": lambda: (y > 0).long() + (y > 0.7).long(),
        "share": y.sigmoid,
        "counts": lambda: y.exp().round(),
        "real": lambda: y,
        "sign": y.sign,
        "positive": y.exp,
    }
    return made[kind]()


@pytest.mark.parametrize("name", LOSSES)
def test_certificate_and_representer_condition(data, name):
    """α = -∂L/∂f / 2λ at the minimum; a rough solution is within its own bounds of an exact one."""
    x, y = data
    options = {"counts": (20.0, 10.0, 10.0)} if name == "logit_adjusted_cross_entropy" else {}
    arguments = (RBF(1.5), x, _targets(y, LOSSES[name]), 1e-3, name)
    exact = kernel_machine(*arguments, options=options, rtol=1e-13)
    rough = kernel_machine(*arguments, options=options, rtol=0.3)
    assert exact.converged and rough.converged and exact.gap <= rough.gap
    slope = exact._problem.loss.gradient(exact.predictions)
    torch.testing.assert_close(exact.coefficients, -slope / (2 * 1e-3), rtol=1e-3, atol=1e-4)
    assert exact.gap <= 1e-10 * abs(exact.value) + 1e-14
    assert -1e-12 <= rough.value - exact.value <= rough.gap
    apart = (rough.coefficients - exact.coefficients).reshape(N, -1)
    assert float((apart * (RBF(1.5)(x) @ apart)).sum()) ** 0.5 <= rough.distance + exact.distance + 1e-9


def test_functions_modules_options_and_reductions(data):
    x, y = data
    classes, weight = _targets(y, "classes"), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    one = kernel_machine(RBF(1.5), x, classes, 1e-2, nn.CrossEntropyLoss(weight=weight))
    two = kernel_machine(RBF(1.5), x, classes, 1e-2, "cross_entropy", options={"weight": weight})
    torch.testing.assert_close(one.predictions, two.predictions)
    assert one.data_value == pytest.approx(float(F.cross_entropy(one.predictions, classes, weight=weight)))
    square = kernel_machine(RBF(1.5), x, y, 1e-2, F.mse_loss)
    assert square.steps == 1 and square.value == pytest.approx(kernel_machine(RBF(1.5), x, y, 1e-2).value)
    half = kernel_machine(RBF(1.5), x, y, 1e-2, lambda f, t: 0.5 * F.mse_loss(f, t))
    assert half.value == pytest.approx(0.5 * kernel_machine(RBF(1.5), x, y, 2e-2).value, rel=1e-9)
    total = kernel_machine(RBF(1.5), x, y, N * 1e-2, nn.MSELoss(reduction="sum"))
    assert (
        total.value == pytest.approx(N * square.value)
        and total.degrees_of_freedom == square.degrees_of_freedom
    )
    more = kernel_machine(RBF(1.5), x, classes, 1e-2, "cross_entropy", outputs=5)
    assert more.predictions.shape == (N, 5)


def test_shared_and_full_kernels_agree_where_outputs_do_not_meet(data):
    x, y = data
    gram, classes = RBF(1.5)(x), _targets(y, "classes")
    both = torch.stack([y, 2 * y], 1)
    for target, loss in ((classes, "cross_entropy"), (both, "mse"), (both, "huber")):
        shared = kernel_machine(gram, None, target, 1e-3, loss)
        c = shared.predictions.shape[1]
        full = kernel_machine(torch.kron(gram, torch.eye(c)), None, target, 1e-3, loss)
        torch.testing.assert_close(full.predictions, shared.predictions, rtol=1e-4, atol=1e-4)
        assert full.value == pytest.approx(shared.value, rel=1e-9)
        assert full.degrees_of_freedom == pytest.approx(c * shared.degrees_of_freedom)


def test_tangent_kernel_machine_is_the_linearised_network_trained_to_the_end():
    """f₀ + JΔ with λ‖Δ‖², minimised over Δ, against the machine with the full kernel and the offset f₀."""
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double(), torch.randn(9, 3).double()
    y, new = torch.randn(9, 2).double(), torch.randn(4, 3).double()
    kernel = EmpiricalNTK(Objective(net, F.mse_loss, (x, y)), outputs="full")
    found = kernel_machine(kernel, x, y, 1e-2, offset=net(x))
    parameters = tuple(p.detach() for p in net.parameters())
    names = [n for n, _ in net.named_parameters()]

    def jacobian(inputs):
        def f(*p):
            return torch.func.functional_call(net, dict(zip(names, p, strict=True)), (inputs,)).reshape(-1)

        return torch.cat([j.flatten(1) for j in torch.autograd.functional.jacobian(f, parameters)], 1)

    j, rest = jacobian(x), (y - net(x)).reshape(-1).detach()
    step = torch.linalg.solve(j.T @ j / 18 + 1e-2 * torch.eye(j.shape[1]).double(), j.T @ rest / 18)
    torch.testing.assert_close(found.predictions.reshape(-1), net(x).reshape(-1).detach() + j @ step)
    assert found.norm == pytest.approx(float(step.norm()), rel=1e-8)
    torch.testing.assert_close(
        found.predict(new, net(new)).reshape(-1), net(new).reshape(-1).detach() + jacobian(new) @ step
    )


def test_another_penalty_and_a_given_norm(data):
    x, y = data
    for loss, target in (("mse", y), ("cross_entropy", _targets(y, "classes"))):
        first = kernel_machine(RBF(1.5), x, target, 1e-2, loss)
        fresh = kernel_machine(RBF(1.5), x, target, 1e-4, loss)
        again = first.at(1e-4)
        assert again.value == pytest.approx(fresh.value, rel=1e-8)
        for norm in (0.3 * first.norm, 3 * first.norm):
            found = at_norm(first, norm, rtol=1e-6)
            assert norm * (1 - 1e-2) <= found.norm <= norm
            assert at_norm(first, norm).data_value <= found.data_value + 1e-3 * first.without_function()
            # the best in the ball: any other function of this length does no better
            other = (
                torch.randn(N, *target.shape[1:], 3 if loss != "mse" else 1)
                .double()
                .reshape(found.coefficients.shape)
            )
            f = RBF(1.5)(x) @ other
            f = f * norm / float((other * f).sum()) ** 0.5
            assert found._problem.loss.value(f) >= found.data_value


def test_nystroem(data):
    x, y = data
    exact = kernel_machine(RBF(1.5), x, y, 1e-2)
    whole = kernel_machine(RBF(1.5), x, y, 1e-2, landmarks=N)
    assert whole.captured == pytest.approx(1.0, abs=1e-9)
    torch.testing.assert_close(whole.predictions, exact.predictions, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.predict(x[:5]), exact.predict(x[:5]), rtol=1e-5, atol=1e-6)
    part = kernel_machine(RBF(1.5), x, y, 1e-2, landmarks=20)
    assert 0.9 < part.captured < 1 and part.value >= exact.value - 1e-12
    torch.testing.assert_close(part.predict(x), part.predictions)
    classes = _targets(y, "classes")
    logistic = kernel_machine(RBF(1.5), x, classes, 1e-2, "cross_entropy", landmarks=N)
    wanted = kernel_machine(RBF(1.5), x, classes, 1e-2, "cross_entropy")
    assert logistic.value == pytest.approx(wanted.value, rel=1e-7)
    # a linear kernel of 3 features has rank 3: three landmarks are enough
    assert kernel_machine(Linear(), x, y, 1e-2, landmarks=3).value == pytest.approx(
        kernel_machine(Linear(), x, y, 1e-2).value, rel=1e-9
    )


def test_results_are_shown(data):
    x, y = data
    found = kernel_machine(RBF(1.5), x, y, 1e-2)
    assert "RBF(length=1.5)" in repr(found) and "degrees of freedom" in found._repr_html_()


def _cubed(f, t):
    return (f - t).pow(3).mean()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"penalty": 0.0}, "penalty λ is a number above 0"),
        ({"penalty": -1.0}, "penalty λ is a number above 0"),
        ({"penalty": float("nan")}, "penalty λ is a number above 0"),
        ({"targets": torch.zeros(3)}, r"40 rows of the kernel, predictions \[3\]"),
        ({"targets": torch.full((N,), float("nan"))}, "40 of them"),
        ({"targets": None}, "array of numbers"),
        ({"loss": "brier", "targets": torch.zeros(N).long()}, "not convex in the predictions"),
        ({"loss": "cauchy"}, "not convex in the predictions"),
        ({"loss": _cubed}, "negative curvature of _cubed"),
        ({"loss": "nll", "targets": torch.zeros(N).long()}, "predictions from -inf to 0"),
        ({"loss": "hinge", "targets": torch.ones(N).cumsum(0) % 2 * 2 - 1, "penalty": 1e-2}, "kinks"),
        ({"loss": "gaussian_nll"}, "no function of one prediction and one target"),
        ({"loss": "no such"}, "no loss has this name"),
        ({"loss": 3}, "a name of the catalogue or a function"),
        ({"loss": "huber", "options": {"dleta": 1.0}}, "dleta"),
        ({"kernel": -torch.eye(N)}, "negative eigenvalue, -1"),
        ({"kernel": torch.ones(N, N).triu()}, "symmetric"),
        ({"kernel": torch.full((N, N), float("nan"))}, "1600 entries"),
        ({"kernel": torch.ones(N, 3)}, "square"),
        ({"kernel": torch.ones(N, N), "penalty": 1e-30}, "below the rounding errors"),
        ({"kernel": torch.eye(N), "landmarks": 3}, "not for its matrix"),
        ({"landmarks": N + 1}, "from 1 to the 40"),
        ({"offset": torch.zeros(3)}, "shape of the predictions"),
        ({"inputs": torch.zeros(20_000, 2)}, "landmarks=1000"),
        ({"rtol": 0.0}, "between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(data, change, says):
    x, y = data
    given = {"kernel": RBF(1.5), "inputs": x, "targets": y, "penalty": 1e-3, **change}
    with pytest.raises(BadUsage, match=says) as caught:
        kernel_machine(**given)
    assert "\n" not in str(caught.value)


def test_rounding_of_a_float32_kernel_is_no_negative_eigenvalue():
    x = torch.tensor(np.random.default_rng(0).normal(size=(120, 2)))
    single = RBF(5.0)(x).float()
    assert torch.linalg.eigvalsh(single.double())[0] < -1e-8
    assert kernel_machine(single, None, x[:, 0], 1e-2).converged
    with pytest.raises(BadUsage, match="not positive semi-definite"):
        kernel_machine(single.double(), None, x[:, 0], 1e-2)
