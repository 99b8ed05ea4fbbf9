"""Operators follow their model: a product after a change is that of a new operator."""

import math

import pytest
import torch
from torch import nn

import losscope
from losscope import operators
from losscope.operators import kept
from losscope.operators import state as state_module
from losscope.operators.state import state


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 3))
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x):
        return self.body(x) * self.scale


def objective():
    torch.manual_seed(0)
    data = torch.randn(10, 4).double(), torch.randint(3, (10,))
    return losscope.Objective(Net().double(), nn.CrossEntropyLoss(), data, 0.1)


def with_vector(o):
    nn.utils.vector_to_parameters(1.5 * o.theta, o.whole.model.parameters())


def in_data(o):
    o.parameters[0].data.mul_(2)


def one_number(o):
    o.parameters[0].data[0, 0] += 0.5


def new_data(o):
    o.parameters[0].data = o.parameters[0].data * 2


def step(o):
    with torch.no_grad():
        o.parameters[0].add_(0.3)


def mode(o):
    o.whole.model.eval()


def buffer(o):
    o.whole.model.scale.data.mul_(3)


def inputs(o):
    o.batches[0].inputs[0].mul_(2)


def sign(o):
    o.parameters[0].data.neg_()


def order(o):
    o.parameters[0].data.copy_(o.parameters[0].data.flip(0))


def order_in_torch(o):
    with torch.no_grad():
        o.parameters[0][[0, 1]] = o.parameters[0][[1, 0]]


CHANGES = [
    sign,
    order,
    order_in_torch,
    with_vector,
    in_data,
    one_number,
    new_data,
    step,
    mode,
    buffer,
    inputs,
]
OPERATORS = {
    "Hessian": operators.Hessian,
    "GaussNewton": operators.GaussNewton,
    "Residual": operators.Residual,
    "GradientCovariance": operators.GradientCovariance,
    "Fisher": operators.Fisher,
    "empirical Fisher": lambda o: operators.Fisher(o, kind="empirical"),
    "NTK": operators.NTK,
    "Jacobian": operators.Jacobian,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", OPERATORS)
def test_products_follow_a_change(name, change):
    o = objective()
    make = OPERATORS[name]
    op = make(o)
    vector = torch.randn(op.shape[1], dtype=torch.float64)
    before = op @ vector
    torch.testing.assert_close(op @ vector, before, rtol=1e-12, atol=1e-14)
    change(o)
    now = op @ vector
    torch.testing.assert_close(now, make(o) @ vector, rtol=1e-12, atol=1e-14)
    assert float((now - before).norm()) > 1e-3 * float(before.norm())


def test_version_counters_alone_are_rejected(monkeypatch):
    """The planted mutant asks torch's counters, which do not see ``p.data``."""
    monkeypatch.setattr(kept, "state", lambda o: tuple(p._version for p in o.parameters))
    o = objective()
    hessian, vector = operators.Hessian(o), torch.randn(o.size, dtype=torch.float64)
    before = hessian @ vector
    in_data(o)
    assert torch.equal(hessian @ vector, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_bit_counts(dtype):
    o = objective()
    o.whole.to(dtype)
    before = state(o)
    assert state(o) == before
    last = o.parameters[-1].data
    last[-1] = (
        torch.nextafter(last[-1].float(), torch.tensor(9.0)) if dtype == torch.float32 else last[-1] * 2
    )
    assert state(o) != before


@pytest.mark.parametrize("size", [64, 4096, 8192])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_of_many_numbers_do_not_wrap_around(dtype, size):
    """2⁵² in the exponent of 4,096 numbers is 2⁶⁴: a plain sum of bits would be what it was."""
    line = nn.Linear(size, 1, bias=False).to(dtype)
    x = torch.ones(2, size, dtype=dtype)
    o = losscope.Objective(line, nn.functional.mse_loss, (x, x[:, :1]))
    for change in (
        lambda w: w.mul_(2),
        lambda w: w.neg_(),
        lambda w: w.copy_(w.flip(1)),
        lambda w: w.add_(1),
    ):
        before = state(o)
        change(line.weight.data)
        assert state(o) != before


def through_an_array(o):
    o.batches[0].inputs[0].numpy()[:] *= 2


def through_data(o):
    o.batches[0].inputs[0].data.add_(1)


def targets(o):
    o.batches[0].target.data.copy_((o.batches[0].target + 1) % 3)


@pytest.mark.parametrize("change", [through_an_array, through_data, targets])
def test_data_that_are_written_past_torchs_counters(change, monkeypatch):
    """The planted mutant asks the counters alone."""
    for glimpse in (True, False):
        o = objective()
        hessian, vector = operators.Hessian(o), torch.randn(o.size, dtype=torch.float64)
        _ = hessian @ vector
        change(o)
        assert torch.allclose(hessian @ vector, operators.Hessian(o) @ vector) == glimpse
        monkeypatch.setattr(state_module, "_glimpse", lambda tensors: ())


def test_a_glimpse_is_small_and_reads_any_layout():
    x = torch.randn(3, 50, 40)
    for tensors in (
        [x],
        [x.transpose(0, 2)],
        [x.expand(9, 3, 50, 40)],
        [torch.tensor(2.0), x[:0], x.to_sparse()],
    ):
        found = state_module._glimpse(tensors)
        assert found == state_module._glimpse(tensors) and len(found) <= 64 * 2**4
    assert state_module._glimpse([x * math.nan]) == state_module._glimpse([x * math.nan])
    assert len(state_module._glimpse([torch.zeros(10**6)])) < 130
