"""The last values of parameters whose model is gone: of the end where it can be, else it is said of when."""

import gc

import pytest
import torch
from torch import nn

from losscope.operators.optimiser_step import read_step
from losscope.watching.last_state import LastState
from losscope.watching.weak_tensors import return_to_all, step_aside


def made(model, optimizer=None, step=3):
    """The model's last state and the copies it goes into."""
    tensors = [*model.parameters(), *model.buffers()]
    pairs = [
        (t, nn.Parameter(t.detach().clone()) if isinstance(t, nn.Parameter) else t.clone()) for t in tensors
    ]
    return LastState(pairs, optimizer, step), [copy for _, copy in pairs]


def values(model):
    return [t.detach().clone() for t in (*model.parameters(), *model.buffers())]


def same(found, wanted):
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def step_of(model, optimizer):
    model(torch.randn(8, 3)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adagrad", "RMSprop"])
def test_a_model_that_is_gone_has_the_values_and_the_step_of_its_last_update(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.1)
    step_of(model, optimizer)
    last, copies = made(model, optimizer)
    for _ in range(5):
        step_of(model, optimizer)
        optimizer.param_groups[0]["lr"] *= 0.5
    assert not last.moved()
    wanted = values(model)
    parameters = list(model.parameters())
    names = [str(i) for i in range(len(parameters))]
    step = read_step(optimizer, parameters, names)
    del model, optimizer, parameters
    gc.collect()
    assert last.take() is None
    assert same(copies, wanted)
    found = read_step(last.optimizer, last.trained, names)
    assert found.rates == step.rates == (0.1 / 32,) * 6
    for ours, theirs in zip(found.denominators, step.denominators, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or torch.equal(ours, theirs)


def test_parameters_that_lie_elsewhere_are_taken_anew_and_it_is_said_of_when():
    """The mutant that trusts the storage it has would give the values of update 3 for those of the end."""
    model = nn.Linear(3, 1)
    last, copies = made(model)
    for step in range(4, 7):
        for p in model.parameters():
            p.data = p.data - 0.1
        assert last.moved()
        last.renew(step)
    wanted = values(model)
    del model
    gc.collect()
    assert last.take() == 6
    assert same(copies, wanted)


def test_parameters_that_moved_once_are_those_of_the_end_again():
    model = nn.Linear(3, 1)
    last, copies = made(model)
    model.double().float()
    assert any(last.moved() for _ in range(2))
    last.renew(4)
    assert not last.moved()
    with torch.no_grad():
        model.weight.add_(1.0)
    wanted = values(model)
    del model
    gc.collect()
    assert last.take() is None
    assert same(copies, wanted)


class Replaced(nn.Module):
    """Its buffer is another tensor at every update."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.zeros(2))


@pytest.mark.parametrize("looked", [True, False])
def test_a_buffer_that_is_replaced_leaves_the_update_that_was_kept(looked):
    model = Replaced()
    last, copies = made(model)
    before = values(model)
    with torch.no_grad():
        model.weight.add_(1.0)
    model.mean = torch.ones(2)
    gc.collect()
    if looked:
        assert not last.moved() and not last.moved()
        del model
    assert last.take() == 3
    assert same(copies, before)


def test_a_storage_that_was_given_back_is_not_read():
    model = nn.Linear(300, 1)
    last, copies = made(model)
    before = values(model)
    model.weight.untyped_storage().resize_(0)
    del model
    gc.collect()
    assert last.take() == 3
    assert same(copies, before)


def test_tensors_may_be_swapped():
    model, other = nn.Linear(3, 1), nn.Linear(3, 1)
    last, copies = made(model)
    step_aside(model.weight, other.weight)  # as the hook does
    torch.utils.swap_tensors(model.weight, other.weight)
    return_to_all()
    assert last.moved() or last.moved()
    last.renew(4)
    assert last.take() is None
    assert same(copies, values(model))


def test_the_memory_of_an_accelerator_is_not_held():
    """Where parameters live elsewhere (here: on no device), only the user's own tensors are looked at."""
    original = torch.nn.Parameter(torch.zeros(3, device="meta"))
    copy = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([original], lr=0.1)
    last = LastState([(original, copy)], optimizer, 7)
    assert not last.held and last.optimizer is None and not last.moved()
    del original, optimizer
    assert last.take() == 7
