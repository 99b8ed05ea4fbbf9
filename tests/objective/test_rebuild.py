"""Objectives rebuilt from watched updates, proved against the script's own values."""

import pytest
import torch
import torch.nn.functional as F
from rebuilding import net, watched, x, y
from torch import nn

from losscope.objective.rebuild.rebuild import rebuild
from losscope.operators.linearisation import linearise_one
from losscope.watching import keeper


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr(keeper, "compiled", lambda: False)


class Dictionary(nn.Module):
    """As Hugging Face's models: named inputs, and an output with ``loss`` and ``logits``."""

    def __init__(self):
        super().__init__()
        self.embed, self.drop, self.head = nn.Embedding(7, 4), nn.Dropout(0.3), nn.Linear(4, 7)

    def forward(self, input_ids=None, labels=None):
        logits = self.head(self.drop(self.embed(input_ids)))
        return {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.embed(tokens))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, sequence):
        return self.head(self.rnn(sequence)[0][:, -1])


def frozen():
    model = net()
    model[0].requires_grad_(False)
    return model


def tokens():
    return torch.randint(7, (4, 6))


def penalised(model, a, b):
    return F.mse_loss(model(a), b) + 1e-2 * sum((p**2).sum() for p in model.parameters())


KINDS = {
    "functional": (net, lambda: (x(), y()), lambda m, a, b: F.cross_entropy(m(a), b)),
    "criterion": (net, lambda: (x(), y()), lambda m, a, b: nn.CrossEntropyLoss(label_smoothing=0.1)(m(a), b)),
    "own criterion": (net, lambda: (x(), y()), lambda m, a, b: Own()(m(a), b)),
    "weighted": (
        net,
        lambda: (x(), y()),
        lambda m, a, b: F.cross_entropy(m(a), b, weight=torch.tensor([1.0, 2.0, 0.5])),
    ),
    "model with loss": (
        Dictionary,
        lambda: (tokens(), tokens()),
        lambda m, a, b: m(input_ids=a, labels=b)["loss"],
    ),
    "half of a loss": (
        Dictionary,
        lambda: (tokens(), tokens()),
        lambda m, a, b: 0.5 * m(input_ids=a, labels=b)["loss"] / 2,
    ),
    "language": (
        Tied,
        lambda: (tokens(), tokens()),
        lambda m, a, b: F.cross_entropy(m(a).view(-1, 7), b.view(-1)),
    ),
    "classes second": (
        Tied,
        lambda: (tokens(), tokens()),
        lambda m, a, b: F.cross_entropy(m(a).transpose(1, 2), b),
    ),
    "regression": (
        lambda: net(1),
        lambda: (x(), torch.randn(16)),
        lambda m, a, b: F.mse_loss(m(a).squeeze(-1), b),
    ),
    "by hand": (
        lambda: net(1),
        lambda: (x(), torch.randn(16, 1)),
        lambda m, a, b: ((m(a) - b) ** 2).mean(),
    ),
    "binary": (
        lambda: net(1),
        lambda: (x(), torch.rand(16, 1).round()),
        lambda m, a, b: F.binary_cross_entropy(torch.sigmoid(m(a)), b),
    ),
    "sum": (
        lambda: net(1),
        lambda: (x(), torch.randn(16, 1)),
        lambda m, a, b: F.l1_loss(m(a), b, reduction="sum"),
    ),
    "penalty": (lambda: net(2), lambda: (x(), torch.randn(16, 2)), penalised),
    "recurrent": (Recurrent, lambda: (torch.randn(8, 4, 5), y(8)), lambda m, a, b: F.cross_entropy(m(a), b)),
    "frozen": (frozen, lambda: (x(), y()), lambda m, a, b: F.cross_entropy(m(a), b)),
    "double": (
        lambda: net().double(),
        lambda: (x().double(), y()),
        lambda m, a, b: F.cross_entropy(m(a), b),
    ),
}


class Own(nn.Module):
    """A criterion that no catalogue has."""

    def forward(self, prediction, target):
        return (prediction.gather(1, target[:, None]) - prediction.logsumexp(1, True)).cos().mean()


def training(kind, steps=6, optimizer=torch.optim.SGD):
    make, data, loss_of = KINDS[kind]

    def train():
        model = make()
        trained = [p for p in model.parameters() if p.requires_grad]
        opt = optimizer(trained, lr=0.05)
        for _ in range(steps):
            opt.zero_grad()
            a, b = data()  # the target of a hand-written loss is found among the variables
            loss_of(model, a, b).backward()
            opt.step()

    return train


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_of_an_update_is_rebuilt_and_proved(kind):
    kept = watched(training(kind))
    assert kept.why is None and kept.updates
    rebuilt = rebuild(kept.updates)
    assert rebuilt.scale == 1.0 and rebuilt.updates == len(kept.updates)
    assert torch.isfinite(rebuilt.objective.gradient()).all()


def test_value_and_gradient_are_those_of_the_script():
    """Independent of the proof: one batch, no noise, against the script's own numbers at its last update."""
    seen = []

    def train():
        model = nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 2)).double()
        a, b = x().double(), torch.randn(16, 2).double()
        opt = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(4):
            opt.zero_grad()
            loss = F.smooth_l1_loss(model(a), b)
            loss.backward()
            seen.append((loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])))
            opt.step()

    kept = watched(train)
    objective = rebuild(kept.updates, 1).objective
    value, gradient = seen[kept.updates[-1].step]
    assert objective.value() == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(objective.gradient(), gradient, rtol=1e-10, atol=1e-12)


class Pair(Dictionary):
    """As older models: a tuple of loss and logits."""

    def forward(self, input_ids=None, labels=None):
        return tuple(super().forward(input_ids, labels).values())


@pytest.mark.parametrize("kind", [Dictionary, Pair])
def test_what_a_model_returns_beside_its_loss_is_what_that_is_computed_from(kind):
    def train():
        model = kind()
        opt = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(6):
            out = model(input_ids=torch.randint(7, (4, 3)), labels=torch.randint(7, (4, 3)))
            (out["loss"] if kind is Dictionary else out[0]).backward()
            opt.step()
            opt.zero_grad()

    objective = rebuild(watched(train).updates).objective
    found = linearise_one(objective, 0)
    assert [tuple(p.shape) for p in found.predictions] == [(4, 3, 7)]


def test_accumulated_gradients_are_one_objective():
    def train():
        model = net()
        opt = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(5):
            opt.zero_grad()
            for _ in range(3):
                (F.cross_entropy(model(x()), y()) / 3).backward()
            opt.step()

    rebuilt = rebuild(watched(train).updates, 1)
    assert len(rebuilt.objective.batches) == 3 and 0.3 < rebuilt.objective.value() < 3


def test_clipping_is_a_factor_and_is_told():
    def train():
        model = net()
        opt = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(5):
            opt.zero_grad()
            F.cross_entropy(model(x()), y()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
            opt.step()

    assert 0 < rebuild(watched(train).updates).scale < 0.1


def test_two_modules_one_after_the_other_and_autocast():
    def train():
        first, second = nn.Linear(5, 8), nn.Linear(8, 3)
        opt = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.05)
        for _ in range(5):
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(second(first(x())), y())
            loss.backward()
            opt.step()

    assert rebuild(watched(train).updates).objective.size == 5 * 8 + 8 + 8 * 3 + 3


def test_the_first_pass_of_a_closure_is_an_update_as_well():
    def train():
        model = net()
        opt = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)

        def closure():
            opt.zero_grad()
            loss = F.cross_entropy(model(x()), y())
            loss.backward()
            return loss

        for _ in range(4):
            opt.step(closure)

    assert rebuild(watched(train).updates).scale == 1.0
