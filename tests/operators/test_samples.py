"""Which rows belong to which sample: per-sample gradients against a loop over samples, in every order of axes."""

import pytest
import torch
import torch.nn.functional as F
from references import gauss_newton, jacobian, sample_gradients
from torch import nn

import losscope
from losscope.core.errors import BadUsage, NotReadable
from losscope.estimators.traces.gauss_newton_trace import gauss_newton_trace
from losscope.estimators.traces.gradient_covariance_trace import gradient_covariance_trace
from losscope.operators.diagonal import Diagonal
from losscope.operators.ekfac import EKFAC
from losscope.operators.fisher import Fisher
from losscope.operators.jacobian import NTK
from losscope.operators.kfac import KFAC
from losscope.operators.layers import Layers
from losscope.operators.structured import samples

T, D = 3, 4


class Reads(nn.Module):
    """Inner layers in one order of the axes, and a head that reads one position or the mean."""

    def __init__(self, inner, read, turned):
        super().__init__()
        self.inner, self.head, self.read, self.turned = inner, nn.Linear(D, 3), read, turned

    def forward(self, x):
        x = self.inner(x.transpose(0, 1) if self.turned else x)
        x = x.transpose(0, 1) if self.turned else x
        return self.head(self.read(x))


class Attends(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Folds(nn.Module):
    """All rows in one axis, and a trained bias alone: broadcast over what is no axis of its own."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Linear(D, D, bias=False), nn.Parameter(torch.randn(D))
        self.weight.requires_grad_(False)

    def forward(self, x):
        return torch.tanh(self.weight(x).flatten(0, 1) + self.bias).unflatten(0, x.shape[:2])


def encoder(batch_first):
    return nn.TransformerEncoderLayer(D, 2, 5, dropout=0.0, batch_first=batch_first)


INNER = {
    "attention": (lambda: Attends(D, 2, batch_first=True), False),
    "attention, places first": (lambda: Attends(D, 2), True),
    "encoder": (lambda: encoder(True), False),
    "encoder, places first": (lambda: encoder(False), True),
    "line": (lambda: nn.Sequential(nn.Linear(D, D), nn.Tanh()), False),
    "line, places first": (lambda: nn.Sequential(nn.Linear(D, D), nn.Tanh()), True),
    "folded": (Folds, False),
    "folded, places first": (Folds, True),
}
READ = {
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
    "mean": lambda x: x.mean(1),
}


def reads(inner, read, n):
    torch.manual_seed(n)
    make, turned = INNER[inner]
    model = Reads(make(), READ[read], turned).double()
    return model, (torch.randn(n, T, D).double(), torch.randint(3, (n,)))


def check(model, data, eigen=True):
    objective = losscope.Objective(model, F.cross_entropy, data)
    data = data if isinstance(data, list) else [data]
    g = sample_gradients(model, F.cross_entropy, data)
    for index, (x, y) in enumerate(data):
        layers, own = (
            Layers(objective, index),
            sample_gradients(model, F.cross_entropy, [(x, y)]),
        )
        weights = [s.detach() * len(y) for s in layers.batch.slope]
        torch.testing.assert_close(layers.squares(weights), own.square().sum(1), rtol=1e-11, atol=1e-12)
    spread = float((g - g.mean(0)).square().sum() / len(g))
    assert gradient_covariance_trace(objective).value == pytest.approx(spread, rel=1e-9, abs=1e-12)
    trace = float(gauss_newton(model, F.cross_entropy, data).trace())
    assert gauss_newton_trace(objective).value == pytest.approx(trace, rel=1e-10)
    j = torch.cat([jacobian(model, x) for x, _ in data])
    torch.testing.assert_close(NTK(objective)._by_layers(), j @ j.T, rtol=1e-10, atol=1e-11)
    fisher = Fisher(objective).dense().diagonal()
    found = Diagonal(objective, "exact")
    assert set(found.structure.values()) == {"diagonal"}
    torch.testing.assert_close(found.dense().diagonal(), fisher, rtol=1e-9, atol=1e-12)
    if eigen:
        assert float(EKFAC(objective, "exact").trace().value) == pytest.approx(float(fisher.sum()), rel=1e-9)


@pytest.mark.parametrize(("read", "n"), [("first", 2), ("first", T), ("mean", 5)])
@pytest.mark.parametrize("inner", [name for name in INNER if "encoder" not in name])
def test_every_order_of_axes(inner, read, n):
    check(*reads(inner, read, n))


@pytest.mark.parametrize(("read", "n"), [("first", 1), ("first", 2), ("last", 5)])
@pytest.mark.parametrize("inner", ["encoder", "encoder, places first"])
def test_an_encoder_layer(inner, read, n):
    check(*reads(inner, read, n))


@pytest.mark.parametrize("inner", ["encoder, places first", "folded, places first"])
def test_batches_of_one_and_of_more(inner):
    """What one sample leaves open is not decided by it."""
    model, (x, y) = reads(inner, "last", 6)
    check(model, [(x[:1], y[:1]), (x[1:3], y[1:3]), (x[3:], y[3:])], eigen=False)


INNER_ALONE = {
    "attention": INNER["attention"][0],
    "attention, places first": INNER["attention, places first"][0],
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
}


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(D, D, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0]


def alone_and_together(inner):
    """One objective with a batch of one sample beside a larger one, and the same samples in one batch."""
    torch.manual_seed(3)
    model = Reads(INNER_ALONE[inner](), READ["last"], inner.endswith("places first")).double()
    x, y = torch.randn(4, T, D).double(), torch.randint(3, (4,))
    parted = [(x[:3], y[:3]), (x[3:], y[3:])]
    return (losscope.Objective(model, F.cross_entropy, data) for data in (parted, parted[::-1], (x, y)))


@pytest.mark.parametrize("made", [KFAC, EKFAC, Diagonal])
@pytest.mark.parametrize("inner", list(INNER_ALONE))
def test_a_sample_alone_counts_as_among_others(inner, made):
    """Torch fuses product and bias where rows lie as it wants them, which those of one sample do."""
    last, first, whole = (made(objective) for objective in alone_and_together(inner))
    assert last.structure == first.structure == whole.structure
    for found in (last, first):
        torch.testing.assert_close(found.dense(), whole.dense(), rtol=1e-11, atol=1e-13)


def test_a_bias_that_torch_adds_apart_belongs_to_its_product(monkeypatch):
    """The planted mutant reads nodes one by one."""
    monkeypatch.setattr("losscope.operators.structured.uses._with_their_biases", lambda found, _: found)
    with pytest.raises(BadUsage, match="in another batch"):
        KFAC(next(alone_and_together("attention")))


class Shares(nn.Module):
    """What is added to a product is its bias only if nothing else sees the product."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(D, D)), nn.Parameter(torch.randn(D))

    def forward(self, x):
        rows = x @ self.weight
        return (rows + self.bias).tanh()[:, 0] + rows[:, 1]


def test_a_sum_of_which_another_part_is_read_is_no_bias():
    torch.manual_seed(0)
    x, y = torch.randn(5, T, D).double(), torch.randint(D, (5,))
    objective = losscope.Objective(Shares().double(), F.cross_entropy, (x, y))
    found = KFAC(objective)
    assert found.structure == {"weight": "Kronecker", "bias": "exact block"}
    fisher = Fisher(objective).dense()
    torch.testing.assert_close(found.dense()[-D:, -D:], fisher[-D:, -D:])
    torch.testing.assert_close(Diagonal(objective).dense().diagonal(), fisher.diagonal())


class Switches(nn.Module):
    """Another function for batches of one."""

    def __init__(self):
        super().__init__()
        self.line, self.head = nn.Linear(D, D), nn.Linear(D, 3)

    def forward(self, x):
        return self.head(self.line(x) if len(x) > 1 else x * self.line.weight.sum(0))


def test_another_function_in_another_batch_is_said():
    x, y = torch.randn(4, D).double(), torch.randint(3, (4,))
    objective = losscope.Objective(Switches().double(), F.cross_entropy, [(x[1:], y[1:]), (x[:1], y[:1])])
    with pytest.raises(BadUsage, match="in another batch"):
        EKFAC(objective)


@pytest.mark.parametrize("inner", ["attention", "encoder, places first", "folded, places first"])
def test_an_order_that_is_taken_for_granted_is_noticed(inner, monkeypatch):
    """The planted mutant does not ask; with the class token alone read, all rows look like the first sample's."""
    monkeypatch.setattr(samples, "_fits", lambda *_: True)
    with pytest.raises((AssertionError, NotReadable)):
        check(*reads(inner, "first", 2))


class Shuffled(nn.Module):
    """Inside, the samples lie in another order."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D, 3)

    def forward(self, x):
        x = self.inner(x.roll(1, 0)).tanh()
        return self.head(x.roll(-1, 0).mean(1))


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.head = nn.Linear(D, D), nn.BatchNorm1d(T), nn.Linear(D, 3)

    def forward(self, x):
        return self.head(self.norm(self.inner(x)).tanh().mean(1))


class Leaking(nn.Module):
    """Only the last sample sees another."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D, 3)

    def forward(self, x):
        x = self.inner(x).tanh().mean(1)
        return self.head(torch.cat([x[:-1], x[-1:] + 0.1 * x[:1]]))


@pytest.mark.parametrize("n", [2, 8])
@pytest.mark.parametrize(("make", "why"), [(Shuffled, "an order"), (Normalised, "mixes"), (Leaking, "mixes")])
def test_what_is_not_told_apart_is_refused(make, why, n):
    torch.manual_seed(0)
    model, x, y = make().double(), torch.randn(n, T, D).double(), torch.randint(3, (n,))
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    for use in (gauss_newton_trace, gradient_covariance_trace, lambda o: NTK(o)._by_layers()):
        with pytest.raises(NotReadable, match=why):
            use(objective)
    assert "diagonal, estimated" in Diagonal(objective).structure.values()
    assert any("not told apart" in what for what in EKFAC(objective).structure.values())


def test_where_samples_meet_the_diagonal_is_an_unbiased_estimate():
    torch.manual_seed(0)
    model, x, y = Normalised().double(), torch.randn(5, T, D).double(), torch.randint(3, (5,))
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    expected = Fisher(objective).dense().diagonal()
    draws = [Diagonal(objective, "exact", seed=seed).dense().diagonal() for seed in range(100)]
    assert (torch.stack(draws).mean(0) - expected).norm() < 0.25 * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_and_autocast_are_told_apart_to_the_last_bit(dtype):
    model, (x, y) = reads("encoder", "first", 6)

    class Auto(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model.float()

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.model(x).float()

    whole = Auto() if dtype == torch.float32 else model.to(dtype)
    objective = losscope.Objective(whole, F.cross_entropy, (x.to(dtype), y))
    found = Diagonal(objective, "exact")
    assert set(found.structure.values()) == {"diagonal"}


def test_a_model_that_changes_its_mode_is_asked_again():
    torch.manual_seed(0)
    model, x, y = Normalised().double().eval(), torch.randn(5, T, D).double(), torch.randint(3, (5,))
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    gauss_newton_trace(objective)
    model.train()
    with pytest.raises(NotReadable, match="mixes"):
        gauss_newton_trace(objective)


def foreign_shares(layers, by_sample):
    """Of what each sample alone sends back, the share that is counted for others."""
    for i in range(layers.samples):
        weights = [torch.zeros_like(p) for p in layers.batch.predictions]
        for w in weights:
            w[i] = 1.0
        for layer, g in zip(layers.layers, layers.output_gradients(weights), strict=True):
            found = by_sample(layer, g.square())
            yield 1 - float(found[i] / found.sum())


@pytest.mark.parametrize("inner", list(INNER))
def test_what_flows_is_summed_by_sample(inner):
    """As the spread of draws needs it. The planted mutant takes places for samples where they come first."""
    model, data = reads(inner, "mean", 5)
    layers = Layers(losscope.Objective(model, F.cross_entropy, data), 0)
    assert max(foreign_shares(layers, lambda layer, g: layer.by_sample(g))) < 1e-12
    mutant = max(foreign_shares(layers, lambda layer, g: g.reshape(5, -1).sum(1)))
    assert (mutant > 0.1) == (inner not in ("line", "folded"))
