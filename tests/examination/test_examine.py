"""The examination of objectives whose state is known in closed form."""

import json
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.examination.look import all_looks


class Product(nn.Module):
    """½(uv - 1)²: a saddle at 0, a valley of minima uv = 1 with tr H = u² + v²."""

    def __init__(self, u, v):
        super().__init__()
        self.u = nn.Parameter(torch.tensor(u, dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor(v, dtype=torch.float64))

    def forward(self):
        return self.u * self.v


def product(u, v):
    return losscope.Objective(Product(u, v), lambda p: 0.5 * (p - 1) ** 2)


def test_a_saddle_is_named_and_left():
    found = losscope.examine(product(0.0, 0.0), 10)
    state = found["state"]
    assert "saddle" in str(state.text) and state.value.value == pytest.approx(-1)
    assert 0 < state.figures["escape"] <= 0.5  # at most all of L(0) = ½
    assert found.sentence().startswith("A saddle")


def test_a_minimum_in_a_valley():
    found = losscope.examine(product(2.0, 0.5), 10)
    assert "minimum" in str(found["state"].text)
    assert found["sharpness"].value.value == pytest.approx(4.25)
    assert found["stable-rate"].figures == pytest.approx(
        {"plain": 2 / 4.25, "momentum": 3.8 / 4.25, "scale": 1}
    )


def test_a_slope_comes_before_everything():
    found = losscope.examine(product(2.0, 1.0), 10)
    assert found.sentence().startswith("On a slope")


def test_the_cost_of_relative_noise_is_half_the_curvature_in_relative_coordinates():
    """½ε²(u² H_uu + v² H_vv) = ε² u²v² for this loss at its minimum, and a little of higher order."""
    found = losscope.examine(product(2.0, 0.5), 10, only=["flatness"])["relative-flatness"]
    assert abs(found.value.value - 1e-4) < 4 * found.value.stderr + 1e-6
    rescaled = losscope.examine(product(200.0, 0.005), 10, only=["flatness"])["relative-flatness"]
    assert rescaled.value.value == pytest.approx(found.value.value, rel=1e-6)  # invariant
    assert losscope.examine(product(200.0, 0.005), 10, only=["sharpness"])["sharpness"].value.value > 1e4


def regression(slope, n=400):
    torch.manual_seed(0)
    x = torch.randn(n, 3).double()
    line = nn.Linear(3, 1, bias=False).double()
    noise = torch.randn(n, 1).double()
    with torch.no_grad():
        line.weight.zero_()
    return losscope.Objective(line, F.mse_loss, (x, x @ torch.full((3, 1), slope).double() + noise))


def test_noise_scale_against_its_definition():
    objective = regression(0.5)
    (x, t) = objective.batches[0].inputs[0], objective.batches[0].target
    g = -2 * t * x  # at zero weights
    noise = float(g.var(0).sum())
    signal = float(g.mean(0).square().sum()) - noise / len(g)  # without what the sample's own noise adds
    found = losscope.examine(objective, 10, only=["noise"])
    scale = found["noise-scale"].value
    assert scale.value == pytest.approx(noise / signal)
    assert scale.value != pytest.approx(noise / float(g.mean(0).square().sum()), rel=0.01)
    assert 0 < scale.stderr < scale.value and "±" in str(found["noise-scale"].text)
    with pytest.raises(KeyError):
        found["within-noise"]


def test_a_gradient_of_pure_noise_is_called_that():
    found = losscope.examine(regression(0.0), 10, only=["noise"])
    assert found["within-noise"].value.value < 2
    assert "do not say where to go" in found.sentence()


def test_no_time_leaves_looks_out_and_says_so():
    found = losscope.examine(regression(0.5), 0.0)
    assert not found.facts and len(found.left_out) == len(all_looks())
    assert "left out" in found.summary() and "one gradient takes about" in found.sentence()


class Slow(nn.Linear):
    """Every forward pass takes a while, and is counted."""

    passes = 0

    def forward(self, x):
        type(self).passes += 1
        time.sleep(0.02)
        return super().forward(x)


def test_a_slow_objective_is_given_up_before_it_overruns():
    data = [(torch.randn(4, 3), torch.randn(4, 1)) for _ in range(200)]  # 4 s for one value
    Slow.passes = 0
    found = losscope.examine(losscope.Objective(Slow(3, 1), F.mse_loss, data), 0.5)
    assert not found.facts and Slow.passes < 5
    assert all("left out" in str(message) for message in found.left_out)


def test_an_examination_that_was_interrupted_ends_as_one_in_one_go():
    once = losscope.examine(regression(0.5), 30, seed=3)
    parts = losscope.examine(regression(0.5), 0.0, seed=3)
    while parts.unfinished:
        parts = parts.resume(10)
    pairs = zip(once.to_json()["facts"], parts.to_json()["facts"], strict=True)
    assert all(a["value"] == b["value"] and a["text"] == b["text"] for a, b in pairs)
    assert not once.unfinished and not parts.left_out


def test_parameters_that_changed_are_not_resumed_at():
    objective = regression(0.5)
    found = losscope.examine(objective, 0.0)
    with torch.no_grad():
        objective.parameters[0].add_(1)
    with pytest.raises(BadUsage, match="have changed"):
        found.resume(1)


def test_texts_of_extremes():
    """A prediction worse than a constant, a step that gains more than there is, a penalty of next to nothing."""
    objective = regression(0.5)
    with torch.no_grad():
        objective.parameters[0].fill_(-3)
    found = losscope.examine(objective, 10)
    assert "no better than a constant" in str(found["skill"].text)
    steep = losscope.examine(losscope.Objective(Product(3.0, 0.1), lambda p: (p - 1).exp() * (p + 2)), 10)
    assert "%" not in str(steep["state"].text) or "610" not in steep.sentence()
    x = torch.randn(8, 3)
    small = losscope.Objective(nn.Linear(3, 1), F.mse_loss, (x, torch.randn(8, 1)), penalty=1e-7)
    text = str(losscope.examine(small, 10, only=["value"])["penalty"].text)
    assert "(0 %)" not in text and "e-0" in text


def test_progress_and_json_and_both_languages():
    steps = []
    found = losscope.examine(regression(0.5), 10, progress=lambda *step: steps.append(step))
    assert [s[0] for s in steps] == list(range(len(all_looks()) + 1))
    data = json.loads(json.dumps(found.to_json("zh")))
    assert data["schema"] == 1 and {"value", "noise-scale", "state"} <= {f["name"] for f in data["facts"]}
    assert "损失为" in found.summary("zh") and "<pre>" in found._repr_html_()


def test_what_is_no_objective_is_one_line():
    with pytest.raises(BadUsage, match="an Objective is examined"):
        losscope.examine(nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(BadUsage, match="no look has this name"):
        losscope.examine(regression(0.5), only=["everything"])


@pytest.mark.parametrize("name", all_looks())
def test_a_look_is_documented_in_both_languages(name):
    look = all_looks()[name]
    assert look.title.en != look.title.zh and look.cost > 0


class OnlyLoss(nn.Module):
    """A model that returns its loss and nothing else."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, x):
        return self.line(x).square().mean()


def test_a_look_that_is_not_possible_does_not_cost_the_others():
    found = losscope.examine(losscope.Objective(OnlyLoss(), None, torch.randn(8, 3)), 10)
    assert found["sharpness"] and any("output alone" in str(m) for m in found.left_out)


def test_a_loss_that_is_no_number_is_one_line():
    x = torch.full((4, 3), torch.nan)
    with pytest.raises(BadUsage, match="not a finite number"):
        losscope.examine(losscope.Objective(OnlyLoss(), None, x), 10)
    with pytest.raises(BadUsage, match="no sample"):
        losscope.Objective(OnlyLoss(), None, torch.zeros(0, 3))


def test_flatness_that_does_not_depend_on_scales():
    """On the valley the corners ±(1, 1) of the relative box cost 2ρ² ± 2ρ³; invariant along it."""
    for u in (2.0, 200.0):
        found = losscope.examine(product(u, 1 / u), 10, only=["layer-flatness"])
        worst = found["adaptive-sharpness"].value.value
        assert worst == pytest.approx(2e-4, rel=0.02)


def test_noise_weighed_by_curvature():
    """For least squares tr(HC) with H = 2XᵀX/N, against plain linear algebra."""
    objective = regression(0.5)
    (x, t) = objective.batches[0].inputs[0], objective.batches[0].target
    g = -2 * t * x
    truth = float((torch.cov(g.T) * (2 * x.T @ x / len(x))).sum())
    found = losscope.examine(objective, 10, only=["curvature-noise", "fisher-rao"])
    assert abs(found["curvature-noise"].value.value - truth) < 4 * found["curvature-noise"].value.stderr
    assert found["fisher-rao-norm"].value.value == 0.0  # at θ = 0
