"""How many directions curve downwards: known spectra, rounding zeros, and error bars that hold."""

import pytest
import torch
from torch import nn

import losscope


class Form(nn.Module):
    """½ Σ h x² at x = 0, with the variables mixed by a rotation."""

    def __init__(self, curvatures, dtype=torch.float64):
        super().__init__()
        turn, _ = torch.linalg.qr(torch.randn(len(curvatures), len(curvatures), dtype=torch.float64))
        self.register_buffer("h", (turn * curvatures @ turn.T).to(dtype))
        self.x = nn.Parameter(torch.zeros(len(curvatures), dtype=dtype))

    def forward(self):
        return 0.5 * self.x @ (self.h @ self.x)


def examined(curvatures, dtype=torch.float64):
    torch.manual_seed(0)
    form = Form(torch.tensor(curvatures, dtype=torch.float64), dtype)
    return losscope.examine(losscope.Objective(form), 30, only=["spectrum"])


def test_what_is_nearer_to_zero_than_a_thousandth_of_the_largest_counts_as_flat():
    found = examined([4.0, 1.0, 1.0, 1e-3, -1e-3, -1e-3, -0.1, -0.2, -0.3, -0.4])
    down = found["downward-directions"]
    assert down.value.value == pytest.approx(0.4) and down.value.stderr == 0
    assert down.figures["tolerance"] == pytest.approx(4e-3)
    assert "40 % of the directions curve downwards by more than 0.004" in str(down.text)
    assert "40 % 的方向" in down.text.render("zh")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_convex_softmax_regression_has_none(dtype):
    torch.manual_seed(0)
    data = torch.randn(40, 5, dtype=dtype), torch.randint(2, (40,))
    objective = losscope.Objective(nn.Linear(5, 2).to(dtype), nn.CrossEntropyLoss(), data)
    found = losscope.examine(objective, 30, only=["spectrum"])
    assert "no direction curves downwards" in str(found["downward-directions"].text)
    eigenvalues = torch.linalg.eigvalsh(losscope.operators.Hessian(objective).dense().double())
    assert (eigenvalues < 0).any()  # rounding: a count below 0 would be wrong


def test_a_sampled_share_holds_its_error_bar_and_the_count_below_zero_does_not():
    flat, down = 200, 100
    curvatures = [5.0] + [1.0] * (399 - flat - down) + [-1e-4] * flat + [-0.5] * down
    found = examined(curvatures)["downward-directions"].value
    assert 0 < found.stderr < 0.1
    assert abs(found.value - down / 400) < 4 * found.stderr
    assert abs((flat + down) / 400 - down / 400) > 4 * found.stderr  # what counting below 0 would give


@pytest.mark.parametrize("size", [3, 400])
def test_no_curvature_at_all(size):
    found = examined([0.0] * size)
    assert str(found["spectrum"].text) == "all curvatures are 0"
    assert not found.left_out and "downward-directions" not in {fact.name for fact in found.facts}


def test_no_number_is_infinite():
    found = examined([-1.0, 1.0, 0.0]).summary()
    assert "inf" not in found and "nan" not in found
