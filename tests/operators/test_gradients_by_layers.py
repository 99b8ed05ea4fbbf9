"""Per-sample gradients by layers against plain backward passes, sample by sample."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, problem
from references import gauss_newton, jacobian, sample_gradients
from torch import nn

import losscope
from losscope.core.errors import NotReadable
from losscope.estimators.traces.gauss_newton_trace import gauss_newton_trace
from losscope.estimators.traces.gradient_covariance_trace import gradient_covariance_trace
from losscope.operators.hessian import Hessian
from losscope.operators.jacobian import NTK
from losscope.operators.layers import Layers
from losscope.operators.tangent_kernel import tangent_kernel

READABLE = [name for name in NETWORKS if name != "batch norm, training"]


def layers_of(name):
    model, loss, data = problem(name)
    return Layers(losscope.Objective(model, loss, data[0]), 0), sample_gradients(model, loss, [data[0]])


@pytest.mark.parametrize("name", READABLE)
def test_norms(name):
    layers, expected = layers_of(name)
    weights = [s.detach() * layers.samples for s in layers.batch.slope]
    torch.testing.assert_close(layers.squares(weights), expected.square().sum(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["relu", "convolution", "attention", "tied", "unused"])
def test_tangent_kernel_by_layers(name):
    model, loss, data = problem(name)
    operator = NTK(losscope.Objective(model, loss, data))
    j = torch.cat([jacobian(model, x) for x, _ in data])
    torch.testing.assert_close(operator.dense(), j @ j.T, rtol=1e-11, atol=1e-12)
    assert operator.products == 0  # no fallback


@pytest.mark.parametrize("name", ["relu", "convolution", "tied"])
def test_gradients_that_do_not_fit_are_made_in_groups(name):
    model, loss, data = problem(name)
    objective = losscope.Objective(model, loss, data)
    parts = [Layers(objective, i) for i in range(len(data))]
    weights = [torch.randn_like(part.batch.predictions[0]) for part in parts]
    columns = [weights, [w.flip(0) for w in weights]]
    whole = tangent_kernel(parts, columns)
    close = partial(torch.testing.assert_close, rtol=1e-11, atol=1e-12)
    close(tangent_kernel(parts, columns, memory=1), whole)
    close(tangent_kernel(parts, columns, parts, columns), whole)
    n = len(whole) // 2
    both = whole[:n, :n] + whole[n:, n:]
    close(tangent_kernel(parts, columns, shared=True), both)
    close(
        tangent_kernel(parts, columns, parts[:1], [c[:1] for c in columns], shared=True),
        both[:, : parts[0].samples],
    )


@pytest.mark.parametrize("name", READABLE)
def test_exact_trace_of_the_gradient_covariance(name):
    model, loss, data = problem(name)
    found = gradient_covariance_trace(losscope.Objective(model, loss, data, penalty=0.3))
    g = sample_gradients(model, loss, data)
    assert found.value == pytest.approx(float((g - g.mean(0)).square().sum() / len(g)), rel=1e-10)


@pytest.mark.parametrize("places", ["many", "few"])
def test_sequences_by_both_formulas(places):
    """The cheaper of two ways: T² (p + q) against p q."""
    torch.manual_seed(0)
    t, d = (40, 2) if places == "many" else (3, 30)
    model = nn.Sequential(nn.Linear(d, d), nn.Tanh(), nn.Linear(d, 1)).double()
    x, y = torch.randn(4, t, d).double(), torch.randn(4, t, 1).double()
    layers = Layers(losscope.Objective(model, F.mse_loss, (x, y)), 0)
    expected = sample_gradients(model, F.mse_loss, [(x, y)])
    weights = [s.detach() * 4 for s in layers.batch.slope]
    torch.testing.assert_close(layers.squares(weights), expected.square().sum(1), rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", READABLE)
def test_exact_trace_of_gauss_newton(name):
    model, loss, data = problem(name)
    found = gauss_newton_trace(losscope.Objective(model, loss, data))
    assert found.value == pytest.approx(float(gauss_newton(model, loss, data).trace()), rel=1e-11)
    assert found.stderr == 0


def test_it_is_the_trace_of_the_hessian_of_a_relu_network():
    objective = losscope.Objective(*problem("relu"))
    assert gauss_newton_trace(objective).value == pytest.approx(float(Hessian(objective).dense().trace()))
    curved = losscope.Objective(*problem("tanh"))
    assert gauss_newton_trace(curved).value != pytest.approx(float(Hessian(curved).dense().trace()), rel=1e-2)


class Transposed(nn.Module):
    """Places come first: what looks like samples are places."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(x.transpose(0, 1)))).mean(0)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.line = nn.Parameter(torch.ones(3)), nn.Linear(3, 2)

    def forward(self, x):
        return self.line(x * self.scale)


class Folded(nn.Module):
    """A class token and positions of its own, with rows of all places folded into one axis before the shift."""

    def __init__(self):
        super().__init__()
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 3)), nn.Parameter(torch.randn(5, 3))
        self.line, self.shift = nn.Linear(3, 2, bias=False), nn.Parameter(torch.randn(2))

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return (self.line(x).flatten(0, 1) + self.shift).view(len(x), -1, 2).tanh().mean(1)


class Functional(nn.Module):
    """Hugging Face's Conv1D, and a transposed weight."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(4))
        self.back = nn.Parameter(torch.randn(2, 4))

    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight).tanh() @ self.back.T


class Attention(nn.Module):
    """Sequences come first inside, as ``nn.MultiheadAttention`` turns them."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Words(nn.Module):
    """The embedding is the head as well, and a word may come twice."""

    def __init__(self):
        super().__init__()
        self.words, self.line = nn.Embedding(5, 3, padding_idx=1), nn.Linear(3, 3)

    def forward(self, x):
        return F.linear(self.line(self.words(x.double().abs().long() % 5)).tanh().mean(1), self.words.weight)


class Sentences(nn.Module):
    """Embeddings of words and of their positions, of which there are as many as samples."""

    def __init__(self):
        super().__init__()
        self.words, self.places, self.head = nn.Embedding(5, 3), nn.Embedding(9, 3), nn.Linear(3, 2)

    def forward(self, x):
        words = self.words(x.double().abs().long() % 5)
        return self.head((words + self.places(torch.arange(x.shape[1])[None])).tanh().mean(1))


FROM_THE_GRAPH = {
    "positions": (Sentences, (6, 6)),
    "sequence first": (Transposed, (5, 5, 3)),
    "a bare parameter": (Bare, (6, 3)),
    "a token": (Folded, (4, 4, 3)),
    "functions": (Functional, (6, 3)),
    "attention": (Attention, (4, 5, 4)),
    "tied words": (Words, (6, 7)),
    "groups": (lambda: nn.Sequential(nn.Conv2d(2, 4, 2, groups=2), nn.Flatten(), nn.Linear(4, 2)), (6, 2, 2, 2)),
    "upwards": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 2, 2, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2)),
        (5, 2, 2, 2),
    ),
    "one axis": (lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(9, 2)), (5, 2, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_THE_GRAPH)
def test_layers_are_read_off_the_graph(name):
    make, shape = FROM_THE_GRAPH[name]
    torch.manual_seed(0)
    model, x, y = make().double(), 2 * torch.randn(shape).double(), torch.randint(2, shape[:1])
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    layers = Layers(objective, 0)
    weights = [s.detach() * len(x) for s in layers.batch.slope]
    expected = sample_gradients(model, F.cross_entropy, [(x, y)])
    close = partial(torch.testing.assert_close, rtol=1e-11, atol=1e-12)
    close(layers.squares(weights), expected.square().sum(1))
    close(NTK(objective)._by_layers(), jacobian(model, x) @ jacobian(model, x).T)
    assert gauss_newton_trace(objective).value == pytest.approx(
        float(gauss_newton(model, F.cross_entropy, [(x, y)]).trace()), rel=1e-11
    )


def test_words_that_come_twice_are_summed_first():
    """The planted mutant takes every place for a word of its own."""
    torch.manual_seed(0)
    model, x, y = Words().double(), 2 * torch.randn(6, 7).double(), torch.randint(2, (6,))
    layers = Layers(losscope.Objective(model, F.cross_entropy, (x, y)), 0)
    (layer,) = [layer for layer, use in layers.uses_of[0] if getattr(use, "hot", False)]
    g = torch.randn(layer.shape, dtype=torch.float64)
    ((_, factors),) = layer.factors(layer.inputs(), g)
    right, mutant = factors.dense().square().sum(1), factors.left.square().sum((1, 2))
    torch.testing.assert_close(factors.squares(), right)
    assert float((mutant - right).abs().max()) > 0.1


class Stretched(nn.Module):
    """The weight is computed from the parameter."""

    def __init__(self):
        super().__init__()
        self.log_weight = nn.Parameter(torch.randn(2, 3))

    def forward(self, x):
        return F.linear(x, self.log_weight.exp())


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), "mixes the samples"),
        (Stretched(), "log_weight"),
    ],
    ids=["batch norm", "of a function"],
)
def test_what_cannot_be_read_is_said(model, why):
    torch.manual_seed(0)
    model.double()
    data = torch.randn(6, 3).double(), torch.randint(2, (6,))
    with pytest.raises(NotReadable, match=why):
        Layers(losscope.Objective(model, F.cross_entropy, data), 0)


def test_a_loss_that_couples_samples_has_no_blocks():
    model = nn.Linear(3, 2).double()
    loss = lambda p: p.mean().square()  # noqa: E731
    with pytest.raises(NotReadable, match="couples"):
        gauss_newton_trace(losscope.Objective(model, loss, torch.randn(4, 3).double()))
