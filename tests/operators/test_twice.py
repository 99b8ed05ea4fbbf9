"""What cannot be differentiated twice is refused in one line, and the rest of an examination still comes."""

import pytest
import torch
from torch import nn

import losscope
from losscope import estimators, operators
from losscope.core.errors import BadUsage


class Bag(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.line = kind(20, 5, **options), nn.Linear(5, 3)

    def forward(self, x):
        found = self.embedding(x)
        return self.line(found if found.dim() == 2 else found.mean(1))


def ids():
    torch.manual_seed(1)
    return torch.randint(20, (8, 4)), torch.randint(3, (8,))


def numbers():
    torch.manual_seed(1)
    return torch.randn(8, 4), torch.randint(3, (8,))


REFUSED = {
    "embedding_bag": lambda: losscope.Objective(Bag(nn.EmbeddingBag), nn.CrossEntropyLoss(), ids()),
    "multi_margin_loss": lambda: losscope.Objective(nn.Linear(4, 3), nn.MultiMarginLoss(), numbers()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_line_with_the_operation(name):
    objective = REFUSED[name]()
    vector = torch.randn(objective.size)
    for found in (
        lambda: operators.Hessian(objective) @ vector,
        lambda: operators.GaussNewton(objective) @ vector,
        lambda: estimators.trace(operators.Hessian(objective)),
        lambda: estimators.eigsh(operators.Hessian(objective)),
    ):
        with pytest.raises(BadUsage, match=name):
            found()
    assert float(objective.gradient().norm()) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_an_examination_says_what_it_could_not_look_at(name):
    found = losscope.examine(REFUSED[name](), 20)
    assert {"value", "flatness"} <= set(found.looks)
    reasons = [str(message) for message in found.left_out]
    assert len(reasons) > 2 and all(name in reason for reason in reasons)


FUSED = torch._weight_norm


class Fused(nn.Linear):
    """Calls torch's kernel by itself."""

    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return nn.functional.linear(x, FUSED(self.weight, self.weight[:, :1].exp(), 0), self.bias)


def test_a_wrong_second_derivative_is_said_by_every_look():
    x, y = numbers()
    found = losscope.examine(losscope.Objective(Fused().double(), nn.CrossEntropyLoss(), (x.double(), y)), 20)
    assert "value" in found.looks and "spectrum" not in found.looks
    assert any("weight_norm in the graph" in str(message) for message in found.left_out)


def test_sparse_gradients_are_those_of_a_dense_embedding():
    sparse, dense = (
        losscope.Objective(Bag(nn.Embedding, sparse=s).double(), nn.CrossEntropyLoss(), ids())
        for s in (True, False)
    )
    torch.testing.assert_close(sparse.gradient(), dense.gradient(), rtol=1e-12, atol=1e-14)
    for kind in (operators.Hessian, operators.GaussNewton, operators.GradientCovariance, operators.KFAC):
        torch.testing.assert_close(kind(sparse).dense(), kind(dense).dense(), rtol=1e-12, atol=1e-14)
    one, other = (estimators.trace(operators.Hessian(o), 0.01) for o in (sparse, dense))
    assert one.value == pytest.approx(other.value, rel=1e-9)


def test_products_do_not_need_the_callers_graph():
    objective = losscope.Objective(
        nn.Linear(4, 3).double(), nn.CrossEntropyLoss(), (numbers()[0].double(), ids()[1])
    )
    expected = operators.Hessian(objective).dense()
    with torch.no_grad():
        assert torch.equal(operators.Hessian(objective).dense(), expected)


def test_other_errors_are_let_through():
    class Faulty(nn.Linear):
        def forward(self, x):
            raise RuntimeError("my own fault")

    with pytest.raises(RuntimeError, match="my own fault"):
        losscope.Objective(Faulty(4, 3), nn.CrossEntropyLoss(), numbers()).value()
