"""Whatever a forward pass writes, a model is to the last bit what it was before an objective looked at it."""

import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import losscope
from losscope.core.errors import BadUsage
from losscope.objective import evaluation
from losscope.operators.hessian import Hessian

IDS, Y = torch.tensor([[0, 1, 2], [3, 4, 0], [5, 1, 1], [2, 2, 4]]), torch.tensor([0, 1, 2, 1])
X = torch.linspace(-2, 2, 16).reshape(4, 4)


class Lookup(nn.Module):
    def __init__(self, bag=False, frozen=False):
        super().__init__()
        self.table = nn.EmbeddingBag(6, 3, max_norm=0.7) if bag else nn.Embedding(6, 3, max_norm=0.7)
        self.table.weight.requires_grad_(not frozen)
        self.head = nn.Linear(3, 3)

    def forward(self, ids):
        found = self.table(ids)
        return self.head(torch.tanh(found if found.dim() == 2 else found.mean(1)))


class Writer(nn.Module):
    """Writes into its weight, its buffers and its attributes, in every way that there is."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls, self.hidden = how, 0, torch.zeros(4)
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(4), persistent=False)

    def forward(self, x):
        if self.how == "data in place":
            self.inner.weight.data.div_(self.inner.weight.data.norm())
        elif self.how == "data bound anew":
            self.inner.weight.data = F.normalize(self.inner.weight.data)
        elif self.how == "without gradients":
            with torch.no_grad():
                self.inner.weight.clamp_(-0.1, 0.1)
        elif self.how == "in training alone" and self.training:
            self.inner.weight.data.mul_(0.5)
        elif self.how == "buffer":
            self.mean.add_(x.mean(0))
            self.mean = 0.5 * self.mean
        elif self.how == "attributes":
            self.calls += 1
            x = x + self.hidden
            self.hidden = 0.1 * torch.tanh(self.inner(x)).mean(0).detach()
        elif self.how == "other generators":
            x = x * (1 + 0.1 * random.random() + 0.1 * np.random.rand())
        return self.head(torch.tanh(self.inner(x) - self.mean))


def around(layer):
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 3))


WAYS = (
    *("data in place", "data bound anew", "without gradients", "in training alone"),
    *("buffer", "attributes", "other generators"),
)
MODELS = {
    "max_norm": (Lookup, IDS),
    "max_norm of a bag": (lambda: Lookup(bag=True), IDS),
    "max_norm, frozen": (lambda: Lookup(frozen=True), IDS),
    "batch norm": (lambda: around(nn.BatchNorm1d(4)), X),
    "cumulative batch norm": (lambda: around(nn.BatchNorm1d(4, momentum=None)), X),
    "spectral norm": (lambda: around(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))), X),
    "spectral norm by a hook": (lambda: around(nn.utils.spectral_norm(nn.Linear(4, 4))), X),
    **{how: (lambda how=how: Writer(how), X) for how in WAYS},
}


def state(model):
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return (
        {name: (t.detach().clone(), t.data_ptr(), t._version, t.grad) for name, t in tensors},
        {name: dict(m.__dict__) for name, m in model.named_modules()},
        (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy(), np.random.get_state()[2]),
    )


def same(before, after):
    parameters, attributes, draws = zip(before, after, strict=True)
    assert all(torch.equal(b[0], parameters[1][name][0]) for name, b in parameters[0].items())
    assert all(b[1:] == parameters[1][name][1:] for name, b in parameters[0].items())
    for name, values in attributes[0].items():
        assert values.keys() == attributes[1][name].keys()
        assert all(attributes[1][name][key] is value for key, value in values.items()), name
    assert torch.equal(draws[0][0], draws[1][0]) and draws[0][1] == draws[1][1]
    assert (draws[0][2] == draws[1][2]).all() and draws[0][3] == draws[1][3]


def looked_at(model, inputs):
    objective = losscope.Objective(model, F.cross_entropy, [(inputs, Y), (inputs[:2], Y[:2])])
    theta = objective.theta + 0.5
    given = theta.clone()
    values = objective.value(), objective.value(theta), objective.gradient(), objective.gradient(theta)
    assert torch.equal(theta, given)
    assert (
        objective.value() == values[0] and objective.value(theta) == values[1]
    )  # one function, at every look
    return objective, values


def trained(name, training):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make()
    model(inputs)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)  # also what the forward pass has made short
    return model.train(training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_as_before(name, training):
    inputs = MODELS[name][1]
    model, twin = trained(name, training), trained(name, training)
    before = state(model)
    objective, (value, _, gradient, _) = looked_at(model, inputs)
    if "bag" not in name:  # torch has no second derivative of it
        _ = Hessian(objective) @ torch.ones(objective.size)
    same(before, state(model))
    if name == "other generators":
        return
    loss = F.cross_entropy(twin(inputs), Y)  # the reference: torch's own forward and backward pass, on a twin
    alone = losscope.Objective(model, F.cross_entropy, (inputs, Y))
    assert alone.value() == pytest.approx(loss.item(), rel=1e-6)
    leaves = [p for p in twin.parameters() if p.requires_grad]
    expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, leaves)])
    torch.testing.assert_close(alone.gradient(), expected)
    assert gradient.shape == expected.shape and value == pytest.approx(objective.value())


def test_a_model_that_writes_only_in_training_is_found_when_it_trains():
    model = Writer("in training alone").eval()
    objective = losscope.Objective(model, F.cross_entropy, (X, Y))
    objective.value()
    model.train()
    before = state(model)
    objective.value()
    same(before, state(model))


def test_parameters_that_come_to_be_written_are_found_after_a_step():
    """At unit length nothing is seen to be written; after a step it is."""
    model = Writer("data bound anew")
    model(X)
    objective = losscope.Objective(model, F.cross_entropy, (X, Y))
    objective.value()
    with torch.no_grad():
        model.inner.weight.mul_(2)
    before = state(model)
    objective.value()
    same(before, state(model))


def test_a_forward_pass_that_fails_is_put_back_too():
    model = Writer("data in place")
    before = state(model)
    with pytest.raises(BadUsage, match="batch_size"):
        losscope.Objective(model, F.cross_entropy, (X, Y[:3])).value()
    same(before, state(model))


def test_looking_without_putting_back_is_noticed(monkeypatch):
    """The planted mutant: writes are told, and stay."""

    @contextmanager
    def told(module):
        before, changed = {n: p._version for n, p in module.named_parameters()}, set()
        yield changed
        changed |= {n for n, p in module.named_parameters() if p._version != before[n]}

    monkeypatch.setattr(evaluation, "watch_parameters", told)
    model = Lookup()
    nn.init.normal_(model.table.weight)
    before = state(model)
    looked_at(model, IDS)
    with pytest.raises(AssertionError):
        same(before, state(model))


class Jittered(TensorDataset):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + 0.1 * torch.randn(()) + random.random() + np.random.rand(), y


@pytest.mark.parametrize("own", [None, "loader", "sampler"])
def test_a_loader_that_shuffles_and_augments_moves_no_random_state(own):
    data, generator = Jittered(X, Y), None if own is None else torch.Generator().manual_seed(3)
    options = {"sampler": RandomSampler(data, generator=generator)} if own == "sampler" else {"shuffle": True}
    loader = DataLoader(data, 2, generator=generator if own == "loader" else None, **options)
    model = nn.Linear(4, 3)
    before, drawn = state(model), None if generator is None else generator.get_state()
    objective = losscope.Objective(model, F.cross_entropy, loader)
    same(before, state(model))
    assert generator is None or torch.equal(generator.get_state(), drawn)
    first = next(iter(loader))[1]
    assert torch.equal(objective.batches[0].target, first)  # the user's next epoch is what it would have been
