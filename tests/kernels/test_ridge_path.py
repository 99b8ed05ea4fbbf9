"""Ridge paths against separate machines, refits without each sample, and scikit-learn's leave-one-out errors."""

import pytest
import torch
from sklearn.linear_model import RidgeCV

from losscope.core.errors import BadUsage
from losscope.kernels.functions.polynomial import Linear
from losscope.kernels.functions.rbf import RBF
from losscope.kernels.machines.machine import kernel_machine
from losscope.kernels.machines.ridge_path import ridge_path

N = 14


@pytest.fixture
def data():
    random = torch.Generator().manual_seed(3)
    x = torch.randn(N, 2, generator=random, dtype=torch.float64)
    return x, x[:, 0].sin() + 0.3 * torch.randn(N, generator=random, dtype=torch.float64)


def test_every_point_is_a_machine(data):
    x, y = data
    for target in (y, torch.stack([y, y.cos()], 1)):
        path = ridge_path(RBF(1.0), x, target, [1e-1, 1e-6, 1e-3])
        assert path.penalties.tolist() == [1e-6, 1e-3, 1e-1]
        for i, penalty in enumerate(path.penalties.tolist()):
            machine = kernel_machine(RBF(1.0), x, target, penalty)
            assert float(path.data_values[i]) == pytest.approx(machine.data_value, rel=1e-6)
            assert float(path.penalty_values[i]) == pytest.approx(machine.penalty_value, rel=1e-8)
            assert float(path.norms[i]) == pytest.approx(machine.norm, rel=1e-8)
            assert float(path.degrees_of_freedom[i]) == pytest.approx(machine.degrees_of_freedom, rel=1e-8)
            left_out = machine.leave_one_out()
            assert left_out.shape == target.shape
            assert float(path.loo[i]) == pytest.approx(float(left_out.square().mean()), rel=1e-7)


@pytest.mark.parametrize("outputs", [1, 2])
def test_leave_one_out_is_leaving_one_out(data, outputs):
    """nλ stays that of n samples: N·λ for N samples is (N - 1)·λ' for the others. A full kernel loses all outputs."""
    x, y = data
    gram, target = RBF(1.0)(x), y
    if outputs == 2:
        mixed = torch.tensor([[1.0, 0.6], [0.6, 2.0]], dtype=torch.float64)  # outputs that meet
        gram, target = torch.kron(gram, mixed), torch.stack([y, y.cos()], 1)
    penalty = 3e-3
    closed = kernel_machine(gram, None, target, penalty).leave_one_out().reshape(N, -1)
    for i in range(N):
        kept = [j for j in range(N) if j != i]
        rows = torch.tensor([j * outputs + c for j in kept for c in range(outputs)])
        own = torch.tensor([i * outputs + c for c in range(outputs)])
        part = kernel_machine(gram[rows][:, rows], None, target[kept], penalty * N / (N - 1))
        found = target[i].reshape(-1) - part.predict(gram[own][:, rows]).reshape(-1) if outputs == 1 else None
        if found is None:
            found = target[i] - gram[own][:, rows] @ part.coefficients.reshape(-1)
        torch.testing.assert_close(closed[i], found, rtol=1e-7, atol=1e-9)
        wrong = kernel_machine(
            gram[rows][:, rows], None, target[kept], penalty
        )  # the mutant: λ instead of nλ is kept
        assert (
            outputs > 1 or abs(float(target[i] - wrong.predict(gram[own][:, rows])) - float(closed[i])) > 1e-6
        )
    path = ridge_path(gram, None, target, [penalty])
    assert float(path.loo) == pytest.approx(float(closed.square().mean()), rel=1e-8)


def test_as_scikit_learn(data):
    x, y = data
    alphas = [0.01, 0.1, 1.0, 10.0, 100.0]
    path = ridge_path(Linear(), x, y, [a / N for a in alphas])
    wanted = RidgeCV(alphas=alphas, fit_intercept=False).fit(x, y)
    assert path.best("loo") * N == pytest.approx(wanted.alpha_)
    assert float(path.loo.min()) == pytest.approx(-wanted.best_score_)


def test_generalised_cross_validation_by_its_definition(data):
    x, y = data
    gram, penalty = RBF(1.0)(x), 1e-2
    smoother = gram @ torch.linalg.inv(gram + N * penalty * torch.eye(N).double())
    wanted = float(((y - smoother @ y).square().mean()) / (1 - smoother.trace() / N) ** 2)
    assert float(ridge_path(gram, None, y, [penalty]).gcv) == pytest.approx(wanted)


def test_default_penalties_go_from_all_to_nothing(data):
    x, y = data
    path = ridge_path(RBF(1.0), x, y)
    assert len(path.penalties) == 40 and (path.penalties.diff() > 0).all()
    assert float(path.degrees_of_freedom[0]) > N - 0.5 and float(path.degrees_of_freedom[-1]) < 1
    assert float(path.loo.min()) <= float(path.loo[-1])
    assert "leave-one-out error" in repr(path) and "<pre>" in path._repr_html_()


def test_bad_input_is_one_line(data):
    x, y = data
    for call, says in (
        (lambda: ridge_path(RBF(1.0), x, y, [0.0]), "a number above 0"),
        (lambda: ridge_path(RBF(1.0), x, y, []), "at least one"),
        (lambda: ridge_path(RBF(1.0), x, y[:3]), "different sizes"),
        (lambda: ridge_path("rbf", x, y), "a Kernel or its matrix"),
        (lambda: ridge_path(RBF(1.0), x, y).best("aic"), "gcv or loo"),
        (lambda: kernel_machine(RBF(1.0), x, y, 1.0, "huber").leave_one_out(), "squares only"),
    ):
        with pytest.raises(BadUsage, match=says):
            call()
