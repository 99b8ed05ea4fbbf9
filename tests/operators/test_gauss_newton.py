"""Gauss-Newton, Jacobian and tangent kernel against dense references, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, problem
from references import gauss_newton, jacobian, small
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.estimators.traces.trace import trace
from losscope.operators import linearisation
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.hessian import Hessian
from losscope.operators.jacobian import NTK, Jacobian


def close(found, expected, tolerance=1e-11):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("memory", [0, 1 << 30], ids=["made again", "kept"])
def test_gauss_newton_of_every_kind_of_network(name, memory):
    model, loss, data = problem(name)
    operator = GaussNewton(losscope.Objective(model, loss, data), memory=memory)
    expected = gauss_newton(model, loss, data)
    close(operator.dense(), expected)
    close(operator.dense(), expected)  # and once more


def test_the_penalty_keeps_its_whole_hessian():
    model, loss, data = problem("tanh")
    found = GaussNewton(losscope.Objective(model, loss, data, penalty=0.3)).dense()
    close(found, gauss_newton(model, loss, data) + 0.3 * torch.eye(len(found), dtype=torch.float64))


def test_it_is_the_hessian_of_what_is_linear_and_not_of_what_is_curved():
    x, y = torch.randn(9, 4).double(), torch.randint(3, (9,))
    line = losscope.Objective(nn.Linear(4, 3).double(), nn.CrossEntropyLoss(), (x, y))
    close(GaussNewton(line).dense(), Hessian(line).dense())
    curved = losscope.Objective(small(), nn.CrossEntropyLoss(), (x, y))
    gap = (GaussNewton(curved).dense() - Hessian(curved).dense()).abs().max()
    assert gap > 0.01 * Hessian(curved).dense().abs().max()
    assert torch.linalg.eigvalsh(GaussNewton(curved).dense()).min() > -1e-12


def test_of_a_piecewise_linear_network_both_have_one_trace():
    x, y = torch.randn(9, 4).double(), torch.randint(3, (9,))
    objective = losscope.Objective(small(activation=nn.ReLU()), nn.CrossEntropyLoss(), (x, y))
    assert float(GaussNewton(objective).dense().trace()) == pytest.approx(
        float(Hessian(objective).dense().trace()), rel=1e-12
    )


def test_softmax_hessian_is_the_closed_form():
    """diag(p) - p pᵀ for logits that are the parameters themselves."""
    line = nn.Linear(1, 4, bias=False).double()
    objective = losscope.Objective(
        line, nn.CrossEntropyLoss(), (torch.ones(1, 1).double(), torch.tensor([2]))
    )
    p = line.weight[:, 0].detach().softmax(0)
    torch.testing.assert_close(GaussNewton(objective).dense(), p.diag() - p.outer(p), rtol=0, atol=1e-12)
    assert torch.linalg.eigvalsh(p.diag() - p.outer(p)).max() <= 0.5


class Two(nn.Module):
    """Mean and log-variance, which a likelihood takes together."""

    def __init__(self):
        super().__init__()
        self.mean, self.spread = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x):
        return {"mean": self.mean(x), "log_variance": self.spread(x)}


def nll(output, target):
    s = output["log_variance"]
    return 0.5 * (s + (output["mean"] - target).square() * (-s).exp()).mean()


def test_a_loss_of_two_outputs():
    torch.manual_seed(0)
    objective = losscope.Objective(
        Two().double(), nll, (torch.randn(6, 3).double(), torch.randn(6, 1).double())
    )
    close(GaussNewton(objective).dense(), Hessian(objective).dense())  # the outputs are linear in θ


class WithLoss(nn.Module):
    """As in Hugging Face: hidden states, logits and the loss together, the loss of shifted logits."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 5)

    def forward(self, tokens, labels):
        hidden = torch.tanh(self.embed(tokens))
        logits = self.head(hidden)
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, 5), labels[:, 1:].reshape(-1))
        return {"loss": loss, "logits": logits, "hidden": hidden}


def test_a_loss_inside_of_the_model():
    torch.manual_seed(0)
    tokens = torch.randint(5, (3, 6))
    model = WithLoss().double()
    objective = losscope.Objective(model, None, {"tokens": tokens, "labels": tokens})

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = model.embed, model.head

        def forward(self, x):
            return self.head(torch.tanh(self.embed(x)))[:, :-1].reshape(-1, 5)

    y = tokens[:, 1:].reshape(-1)
    close(GaussNewton(objective).dense(), gauss_newton(Logits(), F.cross_entropy, [(tokens, y)]))


def test_a_loss_that_reaches_parameters_beside_the_output_is_refused():
    model = small()
    loss = lambda p, y: F.cross_entropy(p, y) + model[0].weight.square().sum()  # noqa: E731
    objective = losscope.Objective(model, loss, (torch.randn(5, 4).double(), torch.randint(3, (5,))))
    with pytest.raises(BadUsage, match="not a function of the model's output"):
        GaussNewton(objective) @ torch.ones(objective.size).double()


@pytest.mark.parametrize(
    "beside",
    [
        lambda p, b: 0.5 * b.square().sum(),
        lambda p, b: (p * b).mean() - (p * b.detach()).mean(),
        lambda p, b: b.sum() ** 3 + 0.1 * b[0] * b[1],
    ],
    ids=["a square", "with the output", "a product"],
)
def test_a_path_beside_the_output_is_refused_where_its_gradient_is_zero(beside):
    """A bias that starts at 0, of which no gradient tells."""
    model = small()
    nn.init.zeros_(model[2].bias)
    loss = lambda p, y: F.cross_entropy(p, y) + beside(p, model[2].bias)  # noqa: E731
    objective = losscope.Objective(model, loss, (torch.randn(5, 4).double(), torch.randint(3, (5,))))
    with pytest.raises(BadUsage, match="not a function of the model's output"):
        GaussNewton(objective) @ torch.ones(objective.size).double()
    found, expected = trace(Hessian(objective), rtol=0.01), float(Hessian(objective).dense().trace())
    assert abs(found.value - expected) <= 4 * found.stderr + 1e-9


def test_gradients_alone_would_not_tell(monkeypatch):
    """The planted mutant: no look at the graph. The matrix of a part of the loss is given out as that of the whole."""
    monkeypatch.setattr(linearisation, "suffices", lambda *_: True)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_a_path_beside_the_output_is_refused_where_its_gradient_is_zero(lambda p, b: b.square().sum())


def test_a_path_without_curvature_changes_nothing():
    """As where all parameters must take part: a sum times 0."""
    model = small()
    data = torch.randn(5, 4).double(), torch.randint(3, (5,))
    loss = lambda p, y: F.cross_entropy(p, y) + 0 * sum(q.square().sum() for q in model.parameters())  # noqa: E731
    close(
        GaussNewton(losscope.Objective(model, loss, data)).dense(),
        gauss_newton(model, F.cross_entropy, [data]),
    )


@pytest.mark.parametrize("name", ["tanh", "convolution", "attention", "layer norm", "frozen"])
def test_jacobian_and_kernel(name):
    model, loss, data = problem(name)
    objective = losscope.Objective(model, loss, data)
    expected = torch.cat([jacobian(model, x) for x, _ in data])
    found = Jacobian(objective)
    assert found.shape == tuple(expected.shape) and found.T.shape == tuple(expected.T.shape)
    eye = torch.eye(found.shape[1], dtype=torch.float64)
    close(found @ eye, expected)
    close(found.T @ torch.eye(found.shape[0], dtype=torch.float64), expected.T)
    close(found @ eye[:, 0], expected[:, 0])
    close(NTK(objective).dense(), expected @ expected.T)


def test_a_vector_of_the_wrong_length_is_one_line():
    found = Jacobian(losscope.Objective(*problem("tanh")))
    with pytest.raises(BadUsage, match="a vector"):
        found @ torch.ones(3)
    with pytest.raises(BadUsage, match="a vector"):
        found.T @ torch.ones(3)
