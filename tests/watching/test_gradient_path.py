"""Faults on the way of a gradient, and scripts that look like them: every pair runs through the real watch."""

import copy
import linecache

import pytest
import torch
import torch.nn.functional as F
from judged import complaints, verdict_on
from torch import nn

RECREATED, EMPTY, UNSTEPPED = "optimiser-recreated", "step-without-backward", "backward-without-step"


def task(n=512):
    torch.manual_seed(1)
    x = torch.randn(n, 10)
    return x, (x @ torch.randn(10, 3)).argmax(1)


def net():
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3))


def batches(count, size=32):
    x, y = task()
    for i in range(count):
        start = (i * size) % len(x)
        yield x[start : start + size], y[start : start + size]


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01)


def momentum(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def plain(model):
    return torch.optim.SGD(model.parameters(), lr=0.05)


def adagrad(model):
    return torch.optim.Adagrad(model.parameters(), lr=0.05)


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()


def remade(make, every, count=120, between=None):
    """A new optimiser every so many batches; ``between`` is done to the model before it is made."""
    model = net()
    start = copy.deepcopy(model.state_dict())
    for i, (x, y) in enumerate(batches(count)):
        if i % every == 0:
            if between is not None:
                between(model, start)
            optimizer = make(model)
        step(model, optimizer, x, y)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("make", "every"), [(adamw, 1), (momentum, 1), (adagrad, 1), (adamw, 4), (adamw, 20)]
)
def test_an_optimiser_made_anew_is_the_top_cause(make, every):
    verdict = verdict_on(remade, make, every)
    assert complaints(verdict) == [RECREATED]
    found = verdict.findings[0]
    assert found.severity == ("error" if every < 10 else "warning")
    assert found.where is not None and found.where.file == __file__
    assert "return torch.optim" in linecache.getline(__file__, found.where.line)


@pytest.mark.parametrize("between", [None, lambda model, start: model.load_state_dict(start)])
def test_an_optimiser_for_each_epoch_is_told_where_most_updates_are_passed_over(between):
    """The fast path sees no single update: version counters tell whether anything else wrote to the weights."""
    verdict = verdict_on(remade, adamw, 100, 900, between, share=0.001)
    assert (RECREATED in complaints(verdict)) == (between is None)


def reload(model, start):
    model.load_state_dict(start)


def write_data(model, start):
    for name, p in model.named_parameters():
        p.data.copy_(start[name])


def replace_data(model, start):
    for name, p in model.named_parameters():
        p.data = start[name].clone()


@pytest.mark.parametrize(("make", "every"), [(plain, 1), (adamw, 120), (adamw, 40)])
def test_no_state_or_few_phases_are_silent(make, every):
    assert RECREATED not in complaints(verdict_on(remade, make, every))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("between", [reload, write_data, replace_data])
@pytest.mark.parametrize("every", [1, 5])
def test_weights_put_back_before_are_another_run(between, every):
    """Test-time adaptation and inner loops begin again from a snapshot. The first two losses may be unseen."""
    assert RECREATED not in complaints(verdict_on(remade, adamw, every, 120, between))


def reload_state():
    model, kept = net(), None
    for x, y in batches(60):
        optimizer = adamw(model)
        if kept is not None:
            optimizer.load_state_dict(kept)
        step(model, optimizer, x, y)
        kept = optimizer.state_dict()


def folds():
    for _ in range(12):
        model = net()
        optimizer = adamw(model)
        for x, y in batches(15):
            step(model, optimizer, x, y)


def in_turn():
    model = net()
    pair = adamw(model), momentum(model)
    for i, (x, y) in enumerate(batches(80)):
        step(model, pair[i % 2], x, y)


def lbfgs_each_time():
    model = net()
    for x, y in batches(20):
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

        def closure(optimizer=optimizer, x=x, y=y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)


def rates_by_new_optimisers():
    model = net()
    for epoch in range(8):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01 * 0.8**epoch)
        for x, y in batches(16):
            step(model, optimizer, x, y)


# --- steps and backwards --------------------------------------------------------------------------
def cleared_between(set_to_none=True):
    model = net()
    optimizer = plain(model)
    for x, y in batches(60):
        F.cross_entropy(model(x), y).backward()
        optimizer.zero_grad(set_to_none=set_to_none)
        optimizer.step()


def step_for_every_batch(count=120):
    model = net()
    optimizer = adamw(model)
    for i, (x, y) in enumerate(batches(count)):
        loss = F.cross_entropy(model(x), y)
        if i % 4 == 0:
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()


def no_backward():
    model = net()
    optimizer = adamw(model)
    for x, y in batches(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y)
        optimizer.step()


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (cleared_between, (True,)),
        (cleared_between, (False,)),
        (step_for_every_batch, ()),
        (step_for_every_batch, (600,)),
        (no_backward, ()),
    ],
)
def test_a_step_without_a_new_gradient_is_the_top_cause(script, arguments):
    verdict = verdict_on(script, *arguments)
    assert complaints(verdict) == [EMPTY]
    assert verdict.state == "wrong"


def accumulation():
    model = net()
    optimizer = adamw(model)
    for i, (x, y) in enumerate(batches(160)):
        (F.cross_entropy(model(x), y) / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()


def evolution():
    """No backward at all: the gradient is estimated and written by hand, in place."""
    model = net()
    optimizer = plain(model)
    x, y = task()
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    with torch.no_grad():
        for _ in range(60):
            before = F.cross_entropy(model(x), y)
            for p in model.parameters():
                noise = 0.01 * torch.randn_like(p)
                p.add_(noise)
                slope = (F.cross_entropy(model(x), y) - before) / noise.norm() ** 2
                p.sub_(noise)
                p.grad.data.copy_(slope * noise)
            optimizer.step()


def scaled():
    model = net()
    optimizer = plain(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=20)
    for i, (x, y) in enumerate(batches(100)):
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y) * (float("inf") if i % 3 == 0 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()


def two_on_one_backward():
    model = net()
    pair = [torch.optim.Adam(layer.parameters(), lr=0.01) for layer in (model[0], model[2])]
    for x, y in batches(80):
        for optimizer in pair:
            optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for optimizer in pair:
            optimizer.step()


def idle_beside():
    """One loop steps every optimiser; the second model is only used now and then."""
    model, other = net(), net()
    pair = adamw(model), adamw(other)
    for i, (x, y) in enumerate(batches(80)):
        for optimizer in pair:
            optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if i % 8 == 0:
            loss = loss + F.cross_entropy(other(x), y)
        loss.backward()
        for optimizer in pair:
            optimizer.step()


def last_layer_cancelled():
    """As in DINO: the last layer's gradients are dropped, all others kept."""
    model = net()
    optimizer = adamw(model)
    for x, y in batches(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for p in model[2].parameters():
            p.grad = None
        optimizer.step()


# --- backwards without a step ---------------------------------------------------------------------
def forgotten():
    model = net()
    optimizer = adamw(model)
    for x, y in batches(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()


def one_of_two_forgotten():
    model = net()
    encoder, decoder = (torch.optim.Adam(layer.parameters(), lr=0.01) for layer in (model[0], model[2]))
    for x, y in batches(120):
        encoder.zero_grad()
        decoder.zero_grad()
        F.cross_entropy(model(x), y).backward()
        decoder.step()


@pytest.mark.parametrize(("script", "severity"), [(forgotten, "error"), (one_of_two_forgotten, "warning")])
def test_a_forgotten_step_is_the_top_cause(script, severity):
    verdict = verdict_on(script)
    assert complaints(verdict) == [UNSTEPPED]
    assert verdict.findings[0].severity == severity
    place = verdict.findings[0].where
    assert place is not None and place.file == __file__


def whole_data():
    """Accumulation over all of the data: one step for 64 passes."""
    model = net()
    optimizer = adamw(model)
    for _ in range(3):
        optimizer.zero_grad()
        for x, y in batches(64):
            (F.cross_entropy(model(x), y) / 64).backward()
        optimizer.step()


def saliency():
    """An analysis with the optimiser of an earlier training at hand."""
    model = net()
    optimizer = adamw(model)
    for x, y in batches(3):
        step(model, optimizer, x, y)
    loaded = adamw(model)
    loaded.load_state_dict(optimizer.state_dict())
    for x, y in batches(60):
        model.zero_grad()
        F.cross_entropy(model(x.requires_grad_()), y).backward()


def by_hand_beside():
    model = net()
    adamw(model)
    kept = adamw(model)
    for x, y in batches(80):
        kept.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=-0.05)


def later_phase():
    """The second optimiser begins after 40 batches."""
    model = net()
    first, second = (torch.optim.Adam(layer.parameters(), lr=0.01) for layer in (model[2], model[0]))
    for i, (x, y) in enumerate(batches(100)):
        first.zero_grad()
        second.zero_grad()
        F.cross_entropy(model(x), y).backward()
        first.step()
        if i > 40:
            second.step()


HEALTHY = [
    *(reload_state, folds, in_turn, lbfgs_each_time, rates_by_new_optimisers),
    *(accumulation, evolution, scaled, two_on_one_backward, idle_beside, last_layer_cancelled),
    *(whole_data, saliency, by_hand_beside, later_phase),
]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("script", HEALTHY)
def test_look_alikes_are_silent(script):
    assert not {RECREATED, EMPTY, UNSTEPPED} & set(complaints(verdict_on(script)))
