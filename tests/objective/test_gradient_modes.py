"""Objectives under ``no_grad`` and ``inference_mode``, which evaluation loops wear: the same numbers as without."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.objective import objective as module
from losscope.operators.hessian import Hessian
from losscope.operators.kfac import KFAC


def problem():
    torch.manual_seed(0)
    x, y = torch.randn(12, 4), torch.randint(3, (12,))
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), [(x[:7], y[:7]), (x[7:], y[7:])]


def own(model, data):
    objective = losscope.Objective(model, F.cross_entropy, data, penalty=0.1)
    theta = objective.theta + 0.1
    return {
        "value": torch.tensor([objective.value(), objective.value(theta), objective.skill]),
        "gradient": torch.stack([objective.gradient(), objective.gradient(theta)]),
    }


def numbers(model, data):
    objective = losscope.Objective(model, F.cross_entropy, data, penalty=0.1)
    vector = torch.ones(objective.size)
    return own(model, data) | {
        "Hessian": Hessian(objective) @ vector,
        "KFAC": KFAC(objective) @ vector,
        "examined": torch.tensor(losscope.examine(objective, 5, only="sharpness")["sharpness"].value.value),
    }


@pytest.mark.parametrize(("mode", "of"), [(torch.no_grad, numbers), (torch.inference_mode, own)])
def test_all_numbers_are_as_without(mode, of):
    model, data = problem()
    plain = of(model, data)
    with mode():
        found = of(model, data)
        assert not torch.is_grad_enabled()
    for name, value in found.items():
        torch.testing.assert_close(value, plain[name], rtol=1e-5, atol=1e-6, msg=name)


def test_operators_in_inference_mode_are_one_line_and_not_zero():
    model, data = problem()
    objective = losscope.Objective(model, F.cross_entropy, data)
    for look in (lambda: Hessian(objective) @ torch.ones(43), lambda: losscope.examine(objective, 5)):
        with torch.inference_mode(), pytest.raises(BadUsage, match=r"inference_mode.*no_grad") as caught:
            look()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("made", ["batches", "loader"])
def test_data_made_in_inference_mode(made):
    model, data = problem()
    plain = losscope.Objective(model, F.cross_entropy, data).gradient()
    with torch.inference_mode():
        again = [(x * 1, y * 1) for x, y in data]
        objective = losscope.Objective(model, F.cross_entropy, again if made == "batches" else iter(again))
    assert torch.equal(objective.gradient(), plain)


@pytest.mark.parametrize("layer", [lambda: nn.Linear(4, 3), lambda: nn.Sequential(nn.BatchNorm1d(4))])
def test_a_model_made_in_inference_mode_is_one_line(layer):
    with torch.inference_mode():
        model = layer()
    with pytest.raises(BadUsage, match="inference_mode") as caught:
        losscope.Objective(model, F.cross_entropy, problem()[1])
    assert "\n" not in str(caught.value)


def test_a_loss_without_a_gradient_is_one_line_under_no_grad_too():
    model, data = problem()
    with torch.no_grad(), pytest.raises(BadUsage, match="differentiable"):
        losscope.Objective(model, lambda f, t: (f.argmax(1) == t).double().mean(), data).gradient()


@pytest.mark.parametrize("planted", [False, True])
def test_a_graph_that_is_lost_is_noticed(planted, monkeypatch):
    """The planted mutant: the loss is made one number outside of the mode in which its graph was recorded."""
    if planted:
        monkeypatch.setattr(module, "_scalar", lambda value, what: value.reshape(()))
    model, data = problem()
    with torch.no_grad():
        objective = losscope.Objective(model, F.cross_entropy, data, penalty=0.1)
        graphs = [objective.loss_of(1), objective.both_of(0)[1], objective.penalty_of()]
        assert [g.grad_fn is not None for g in graphs] == [not planted] * 3
