"""KFAC, EKFAC and Diagonal against the dense Fisher matrix, on what networks do with parameters."""

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, problem
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.diagonal import Diagonal
from losscope.operators.ekfac import EKFAC
from losscope.operators.fisher import Fisher
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.kfac import KFAC
from losscope.operators.structured import parts

COUPLED = "batch norm, training"


def close(found, expected, tolerance=1e-11):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


def blocks(objective):
    """Slices of the parameters of each block of K-FAC, and the block itself."""
    made = KFAC(objective)
    for one in made.placed:
        index = torch.cat([torch.arange(objective.size)[made._slice(p)] for p in one.positions])
        yield index, one.block


class Named(nn.Module):
    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)


class Conv1D(nn.Module):
    """Hugging Face's linear layer, whose weight is transposed."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(inputs, outputs)),
            nn.Parameter(torch.zeros(outputs)),
        )

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class Places(Named):
    """A class token, positions, an attention layer with its weights packed, and a scale."""

    def __init__(self, batch_first):
        super().__init__(inner=nn.Linear(3, 4), head=nn.Linear(4, 3))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=batch_first)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(1, 4, 4))
        self.scale, self.first = nn.Parameter(torch.randn(4)), batch_first

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), self.inner(x)], 1) + self.place
        x = x if self.first else x.transpose(0, 1)
        x = self.attention(x, x, x, need_weights=False)[0] * self.scale
        return self.head(x.mean(1 if self.first else 0))


class Positions(Named):
    """Embeddings of positions, broadcast over samples: as many of them as samples, and part of a longer table."""

    def __init__(self, table):
        super().__init__(inner=nn.Linear(2, 4), place=nn.Embedding(6, 4), head=nn.Linear(4, 3))
        if table:
            self.place = nn.Embedding(1, 1)
            self.place.weight = nn.Parameter(torch.randn(1, 6, 4))

    def forward(self, x):
        t, weight = x.shape[1], self.place.weight
        place = self.place(torch.arange(t)) if weight.dim() == 2 else weight[:, :t]
        return self.head(torch.tanh(self.inner(x) + place)).mean(1)


class Twice(Named):
    """One layer, called twice."""

    def __init__(self):
        super().__init__(inner=nn.Linear(4, 4), head=nn.Linear(4, 3))

    def forward(self, x):
        return self.head(torch.tanh(self.inner(torch.tanh(self.inner(x)))))


def convolution(layer, shape):
    outputs = layer(torch.zeros(1, *shape)).numel()
    return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(outputs, 3)), shape


LAYERS = {
    "1-d": lambda: convolution(nn.Conv1d(2, 3, 2, stride=2, padding=1), (2, 5)),
    "3-d": lambda: convolution(nn.Conv3d(1, 2, 2), (1, 3, 3, 2)),
    "stride": lambda: convolution(nn.Conv2d(2, 3, 2, stride=2, padding=1), (2, 4, 3)),
    "dilation": lambda: convolution(nn.Conv2d(1, 2, 2, dilation=2, bias=False), (1, 4, 4)),
    "groups": lambda: convolution(nn.Conv2d(4, 6, 2, groups=2), (4, 3, 3)),
    "depthwise": lambda: convolution(nn.Conv2d(3, 3, 2, groups=3), (3, 3, 3)),
    "circular": lambda: convolution(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), (1, 3, 3)),
    "same": lambda: convolution(nn.Conv2d(1, 2, 2, padding="same"), (1, 3, 3)),
    "transposed": lambda: convolution(
        nn.ConvTranspose2d(2, 4, 2, stride=2, padding=1, output_padding=1, groups=2), (2, 2, 3)
    ),
    "group norm": lambda: (
        nn.Sequential(nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 3)),
        (1, 3, 3),
    ),
    "rms norm": lambda: (nn.Sequential(nn.Linear(4, 5), nn.RMSNorm(5), nn.Linear(5, 3)), (4,)),
    "Conv1D": lambda: (nn.Sequential(Conv1D(4, 5), nn.Tanh(), Conv1D(5, 3)), (4,)),
    "attention": lambda: (Places(True), (3, 3)),
    "attention, places first": lambda: (Places(False), (3, 3)),
    "encoder": lambda: (
        nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True), nn.Flatten(), nn.Linear(12, 3)
        ),
        (3, 4),
    ),
    "twice": lambda: (Twice(), (4,)),
    "positions": lambda: (Positions(False), (4, 2)),
    "part of a table": lambda: (Positions(True), (4, 2)),
}


def objective_of(name, loss=F.cross_entropy, n=7):
    torch.manual_seed(0)
    model, shape = LAYERS[name]()
    model = model.double()
    x, y = torch.randn(n, *shape).double(), torch.randint(3, (n,))
    return losscope.Objective(model, loss, [(x[:4], y[:4]), (x[4:], y[4:])])


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", [n for n in NETWORKS if n != COUPLED] + list(LAYERS))
def test_diagonals_and_eigenvalues_are_those_of_the_fisher_matrix(name):
    """Diagonal: its diagonal. EKFAC: the diagonal in its eigenvectors. Nothing is estimated in these networks."""
    objective = losscope.Objective(*problem(name)) if name in NETWORKS else objective_of(name)
    fisher = Fisher(objective).dense()
    found = Diagonal(objective)
    assert not any("estimated" in what for what in found.structure.values())
    close(found.dense(), torch.diag(fisher.diagonal()))
    ekfac, exact = EKFAC(objective), fisher.trace()
    assert float(ekfac.trace().value) == pytest.approx(float(exact), rel=1e-10)
    dense, kfac = ekfac.dense(), KFAC(objective).dense()
    for index, _ in blocks(objective):
        block = fisher[index][:, index]
        near, far = dense[index][:, index], kfac[index][:, index]
        assert (near - block).norm() <= (far - block).norm() * (1 + 1e-12)
        # the best with these eigenvectors: what is left is orthogonal to the matrix itself
        assert abs(float(((block - near) * near).sum())) < 1e-9 * float(block.square().sum())


@pytest.mark.parametrize("made", [KFAC, EKFAC, Diagonal])
@pytest.mark.parametrize("name", ["convolution", "attention", "tied", "unused", COUPLED])
def test_inverse_trace_and_determinant(made, name):
    objective = losscope.Objective(*problem(name))
    operator = made(objective)
    dense, eye = operator.dense(), torch.eye(objective.size).double()
    assert float(torch.linalg.eigvalsh(dense)[0]) > -1e-14
    torch.testing.assert_close(dense, dense.T)
    torch.testing.assert_close(operator.eigenvalues(), torch.linalg.eigvalsh(dense), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(operator.inverse(0.1).dense() @ (dense + 0.1 * eye), eye, rtol=0, atol=1e-10)
    assert operator.trace().value == pytest.approx(float(dense.trace()), rel=1e-10)
    assert operator.logdet(0.1).value == pytest.approx(float((dense + 0.1 * eye).logdet()), rel=1e-9)
    if float(operator.eigenvalues()[0]) < 1e-12:
        with pytest.raises(BadUsage, match="no inverse"):
            operator.inverse()


def linear_network(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5, bias), nn.Linear(5, 3, bias)).double()


def check_blocks(objective, operator):
    fisher, found = Fisher(objective).dense(), operator.dense()
    for index, _ in blocks(objective):
        close(found[index][:, index], fisher[index][:, index], 1e-10)


def exact_cases():
    """Conditions under which a layer's Fisher block is a Kronecker product."""
    x, y = torch.randn(9, 4).double(), torch.randn(9, 3).double()
    yield "expand", losscope.Objective(linear_network(), F.mse_loss, (x, y))
    x, y = torch.randn(3, 5, 4).double(), torch.randn(3, 5, 3).double()
    yield "expand", losscope.Objective(linear_network(), F.mse_loss, (x, y))
    pooled = nn.Sequential(*linear_network(), nn.AdaptiveAvgPool2d((1, 3)), nn.Flatten())
    yield "reduce", losscope.Objective(pooled, F.mse_loss, (x, y[:, 0]))
    torch.manual_seed(0)
    curved = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    yield "expand", losscope.Objective(curved, F.cross_entropy, (x[0, :1], torch.tensor([1])))


def test_where_kfac_is_exact():
    """Deep linear networks with squared error, with places in the convention that fits; and one sample."""
    torch.manual_seed(1)
    for sharing, objective in exact_cases():
        check_blocks(objective, KFAC(objective, sharing=sharing))


def test_the_conventions_differ():
    torch.manual_seed(1)
    for sharing, objective in exact_cases():
        if objective.batches[0].inputs[0].dim() == 3:
            with pytest.raises(AssertionError):
                check_blocks(
                    objective, KFAC(objective, sharing="reduce" if sharing == "expand" else "expand")
                )


def _swapped(self, pairs, right=parts.KroneckerPart.add):
    right(self, [(use, g.flip(-1)) for use, g in pairs])


def _unscaled(self, right=parts.KroneckerPart.block):
    self._rows = 1
    return right(self)


@pytest.mark.parametrize(
    ("where", "name", "mutant"),
    [
        (parts.KroneckerPart, "add", _swapped),
        (parts.KroneckerPart, "block", _unscaled),
        (parts, "_bordered", lambda moment, rows: F.pad(moment, (0, 1, 0, 1))),
    ],
    ids=["outputs reversed", "1/N missing", "bias forgotten"],
)
def test_planted_mistakes_are_noticed(monkeypatch, where, name, mutant):
    torch.manual_seed(1)
    objective = next(exact_cases())[1]
    check_blocks(objective, KFAC(objective))
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises(AssertionError):
        check_blocks(objective, KFAC(objective))


def test_factors_by_hand():
    """The definition, for a network in which it is an approximation: E[aaᵀ] ⊗ E[ggᵀ]."""
    objective = losscope.Objective(*problem("tanh"))
    model = objective.whole.model
    a_moment = g_moment = 0
    for batch in objective.batches:
        for row in batch.inputs[0]:
            hidden = model[1](model[0](row))
            p = model[2](hidden).softmax(0).detach()
            for label in range(3):
                (g,) = torch.autograd.grad(
                    F.cross_entropy(model[2](hidden), torch.tensor(label)), hidden, retain_graph=True
                )
                g = g * (1 - hidden.detach() ** 2)
                g_moment = g_moment + p[label] * g.outer(g) / objective.samples
            a = torch.cat([row, torch.ones(1)])
            a_moment = a_moment + a.outer(a) / objective.samples
    expected = torch.kron(g_moment, a_moment).view(5, 5, 5, 5)
    order = [5 * i + j for i in range(5) for j in range(4)] + [5 * i + 4 for i in range(5)]
    expected = expected.view(25, 25)[order][:, order]
    close(KFAC(objective).dense()[:25, :25], expected)
    assert KFAC(objective).trace().value == pytest.approx(float(KFAC(objective).dense().trace()), rel=1e-12)


@pytest.mark.parametrize("made", [KFAC, Diagonal])
def test_drawn_labels_are_unbiased(made):
    objective = losscope.Objective(*problem("tanh"))
    expected = made(objective).dense()
    found = made(objective, "mc", draws=400).dense()
    assert (found - expected).norm() < 0.1 * expected.norm()
    again = made(objective, "mc", seed=3).dense()
    torch.testing.assert_close(again, made(objective, "mc", seed=3).dense(), rtol=0, atol=0)
    assert not torch.allclose(again, found)


def test_empirical():
    objective = losscope.Objective(*problem("attention"))
    close(
        Diagonal(objective, "empirical").dense().diagonal(), Fisher(objective, "empirical").dense().diagonal()
    )


class Odd(nn.Module):
    """A parameter that goes through functions of its own, and a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.raw, self.rnn, self.head = nn.Parameter(torch.randn(3, 3)), nn.GRU(3, 2), nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.rnn(x @ torch.tanh(self.raw))[0][:, -1])


def test_what_is_not_known_by_layers_is_estimated_without_bias():
    torch.manual_seed(0)
    model = Odd().double()
    x, y = torch.randn(7, 4, 3).double(), torch.randint(3, (7,))
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    expected = Fisher(objective).dense().diagonal()
    found = Diagonal(objective, "mc", draws=300)
    assert found.structure["raw"] == "diagonal, estimated"
    assert (found.dense().diagonal() - expected).norm() < 0.25 * expected.norm()
    assert KFAC(objective).structure["head.weight"] == "Kronecker"


def test_samples_that_meet_have_unbiased_factors():
    """Batch normalisation in training mode: the trace over draws of signs, for parameters that are estimated."""
    objective = losscope.Objective(*problem(COUPLED))
    KFAC(objective), EKFAC(objective, sharing="reduce")
    assert set(KFAC(objective).structure.values()) == {"Kronecker", "exact block"}


def test_other_losses():
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x, y = torch.randn(7, 4).double(), torch.randn(7, 3).double()
    huber = losscope.Objective(model, F.huber_loss, (x, y))
    close(Diagonal(huber).dense().diagonal(), GaussNewton(huber).dense().diagonal())
    with pytest.raises(BadUsage, match="no likelihood"):
        KFAC(huber, "mc")
    with pytest.raises(BadUsage, match="not convex"):
        KFAC(losscope.Objective(model, lambda z, t: torch.tanh((z - t) ** 2).mean(), (x, y)))


def test_many_outputs_are_drawn():
    model = nn.Linear(2, 200).double()
    objective = losscope.Objective(
        model, F.cross_entropy, (torch.randn(3, 2).double(), torch.tensor([0, 5, 7]))
    )
    assert KFAC(objective).kind == "mc"
    with pytest.raises(BadUsage, match='kind="mc"'):
        KFAC(objective, "exact")


def test_large_factors_are_diagonal():
    objective = losscope.Objective(*problem("tanh"))
    found = KFAC(objective, largest=3)
    assert found.structure["0.weight"] == "Kronecker, diagonal over outputs and inputs"
    close(found.dense()[:25, :25], torch.diag(KFAC(objective).dense().diagonal()[:25]))


class Beside(nn.Module):
    """A loss that reaches parameters beside the output."""

    def __init__(self):
        super().__init__()
        self.line, self.other = nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, x):
        self.extra = self.other(x).square().mean()
        return self.line(x)


def test_bad_input_is_one_line():
    model = Beside()
    data = torch.randn(7, 4), torch.randint(3, (7,))
    objective = losscope.Objective(model, lambda z, t: F.cross_entropy(z, t) + model.extra, data)
    with pytest.raises(BadUsage, match="output alone"):
        KFAC(objective)
    objective = losscope.Objective(nn.Linear(4, 3), F.cross_entropy, data)
    for wrong in ({"sharing": "both"}, {"kind": "true"}, {"draws": 0}):
        with pytest.raises(BadUsage):
            KFAC(objective, **wrong)
    with pytest.raises(BadUsage, match="damping"):
        KFAC(objective).inverse(-1.0)


def test_positions_taken_for_words_are_rejected(monkeypatch):
    """The planted mutant, as it was: rows of positions are divided among the samples."""
    objective = objective_of("positions")
    monkeypatch.setattr("losscope.operators.structured.uses._part_of_parameter", lambda *_: None)
    fisher = Fisher(objective).dense().diagonal()
    assert float((Diagonal(objective).dense().diagonal() - fisher).abs().max() / fisher.max()) > 0.01
