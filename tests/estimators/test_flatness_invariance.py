"""What changes and what does not if ReLU units are rescaled: the same function, another Hessian."""

import math

import pytest
import torch
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.congruence import Congruence
from losscope.operators.hessian import Hessian
from losscope.operators.perturbation import element_scaled, filter_scaled, isotropic

est = losscope.estimators
ALPHA = 7.0


def relu_network(bias=True, alpha=None, per_unit=False):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4, bias=bias), nn.ReLU(), nn.Linear(4, 3, bias=bias)).double()
    x, y = torch.randn(12, 3).double(), torch.randint(3, (12,))
    if alpha is not None:
        factors = (
            alpha ** torch.linspace(0, 1.5, 4).double() if per_unit else torch.full((4,), alpha).double()
        )
        with torch.no_grad():
            model[0].weight *= factors[:, None]
            if bias:
                model[0].bias *= factors
            model[2].weight /= factors
    return losscope.Objective(model, nn.CrossEntropyLoss(), (x, y))


def raw(objective):
    return {
        "largest eigenvalue": est.eigsh(Hessian(objective)).values[0],
        "trace": est.trace(Hessian(objective)).value,
        "isotropic rise": est.second_order_rise(objective, isotropic(objective, 0.1)).value,
        "plain sharpness": est.adaptive_sharpness(objective, 0.1, adaptive=False).rise.value,
    }


def invariant(objective):
    return {
        "Fisher-Rao": est.fisher_rao_norm(objective).value,
        "Fisher-Rao, exact": est.fisher_rao_norm(objective, "exact").value,
        "last layer": est.relative_flatness(objective).value,
        "first layer": est.relative_flatness(objective, "0.weight").value,
        "filters": est.second_order_rise(objective, filter_scaled(objective, 0.1)).value,
        "elements": est.second_order_rise(objective, element_scaled(objective, 0.1)).value,
        "worst, 2": est.adaptive_sharpness(objective, 0.1, starts=1).rise.value,
        "worst, inf": est.adaptive_sharpness(objective, 0.05, norm=math.inf, starts=1).rise.value,
        "average": est.expected_rise(objective, element_scaled(objective, 0.1), pairs=4).direct.value,
    }


@pytest.mark.parametrize("per_unit", [False, True])
def test_rescaling_changes_the_raw_measures_and_not_the_invariant_ones(per_unit):
    before, after = relu_network(), relu_network(alpha=ALPHA, per_unit=per_unit)
    assert after.value() == pytest.approx(before.value(), rel=1e-12)
    found, truth = invariant(after), invariant(before)
    if per_unit:  # these read the norms of whole rows, and hold for whole layers only
        for name in ("last layer", "filters"):
            assert found.pop(name) != pytest.approx(truth.pop(name), rel=0.1)
    assert found == pytest.approx(truth, rel=1e-7)
    changed = raw(after)
    for name, value in raw(before).items():
        assert abs(changed[name] - value) > 0.1 * abs(value), name


def test_scales_of_single_weights_are_not_those_of_units():
    """The planted mutant: one norm for a whole tensor is unchanged by (α, 1/α), and changed unit by unit."""
    from losscope.operators import perturbation

    def by_tensor(objective):
        sizes = [p.detach().norm().expand(p.numel()) / p.numel() ** 0.5 for p in objective.parameters]
        made = perturbation.diagonal(objective, 0.1 * torch.cat(sizes), "tensors")
        return float(Congruence(Hessian(objective), made).dense().trace())

    before = by_tensor(relu_network(bias=False))
    assert by_tensor(relu_network(False, ALPHA)) == pytest.approx(before)
    assert by_tensor(relu_network(False, ALPHA, True)) != pytest.approx(before, rel=0.05)


def test_fisher_rao_is_the_quadratic_form_and_its_closed_form():
    with_bias, without = relu_network(), relu_network(bias=False)
    theta = with_bias.theta
    second = losscope.operators.GradientCovariance(with_bias, centred=False)
    assert est.fisher_rao_norm(with_bias).value == pytest.approx(float(theta @ (second @ theta)))
    fisher = losscope.operators.Fisher(with_bias)
    assert est.fisher_rao_norm(with_bias, "exact").value == pytest.approx(float(theta @ (fisher @ theta)))
    degree, residual = est.homogeneity(without)
    assert degree == pytest.approx(2) and residual < 1e-12  # two layers
    assert est.homogeneity(with_bias)[1] > 0.01
    for kind in ("empirical", "exact"):
        closed = est.fisher_rao_norm(without, kind, degree=2).value
        assert closed == pytest.approx(est.fisher_rao_norm(without, kind).value, rel=1e-12)
        wrong = est.fisher_rao_norm(without, kind, degree=1).value  # hidden layers instead of layers
        assert wrong != pytest.approx(closed, rel=0.5)


def test_relative_flatness_of_a_last_layer_in_closed_form():
    """H = mean (diag(p) - ppᵀ) ⊗ φφᵀ, so that κ = mean ‖φ‖² tr(Wᵀ(diag(p) - ppᵀ)W)."""
    objective = relu_network()
    model = objective.whole.model
    phi = model[1](model[0](objective.batches[0].inputs[0])).detach()
    p, w = model[2](phi).softmax(1).detach(), model[2].weight.detach()
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    truth = (phi.square().sum(1) * torch.einsum("ck,ncd,dk->n", w, inner, w)).mean()
    assert est.relative_flatness(objective).value == pytest.approx(float(truth))
    plain = float(Hessian(objective).block(slice(16, 28)).dense().trace()) * float(w.square().sum())
    assert plain != pytest.approx(float(truth), rel=0.05)  # ‖w‖² tr H: a mutant that is invariant too


class Bowl(nn.Module):
    """½ Σ h x² about x = c: minimum with known worst rises."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64))

    def forward(self):
        h = torch.tensor([4.0, 1.0, 9.0, 0.1], dtype=torch.float64)
        at = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
        return 0.5 * (h * (self.x - at) ** 2).sum()


def test_the_worst_rise_of_a_quadratic():
    """½ρ² λmax(CHC) for p = 2, ½ρ² Σ c²h for p = ∞, since H is diagonal."""
    objective = losscope.Objective(Bowl(), None)
    scaled = [4 * 1, 1 * 4, 9 * 0.25, 0.1 * 9]
    found = est.adaptive_sharpness(objective, 0.1, rtol=1e-9, steps=200)
    assert found.rise.value == pytest.approx(0.005 * max(scaled), rel=1e-3)
    assert found.rise.value <= 0.005 * max(scaled) * (1 + 1e-12)
    assert objective.value(objective.theta + found.displacement) == pytest.approx(found.rise.value)
    cube = est.adaptive_sharpness(objective, 0.1, norm=math.inf)
    assert cube.rise.value == pytest.approx(0.005 * sum(scaled)) and cube.converged
    plain = est.adaptive_sharpness(objective, 0.1, adaptive=False, rtol=1e-9, steps=200)
    assert plain.rise.value == pytest.approx(0.005 * 9, rel=1e-3)


def test_bad_input_is_one_line():
    objective = relu_network()
    with pytest.raises(BadUsage, match="rho is a finite number above 0"):
        est.adaptive_sharpness(objective, -1.0)
    with pytest.raises(BadUsage, match="empirical or exact"):
        est.fisher_rao_norm(objective, "mc")
    with pytest.raises(BadUsage, match="no trained parameter"):
        est.relative_flatness(losscope.Objective(Bowl(), None))
