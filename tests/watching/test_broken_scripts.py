"""What a reviewer broke once: each case is a script's own affair that must not reach the record or the script."""

import threading

import pytest
import torch
import torch.nn.functional as F
from memory_watch import watching
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import losscope
from losscope.core.errors import BadUsage
from losscope.recording import signals as s


class Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


class Failing(torch.optim.SGD):
    fails = False

    def step(self, closure=None):
        if self.fails:
            raise ValueError("no memory")
        return super().step(closure)


@pytest.fixture
def data():
    torch.manual_seed(0)
    return torch.randn(64, 8), torch.randint(0, 3, (64,))


def train(model, optimizer, data):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(data[0]), data[1])
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_dispatch_mode_of_the_users_sees_nothing_of_ours(data):
    def operations():
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        counted = []
        for _ in range(200):
            loss = F.cross_entropy(model(data[0]), data[1])
            with Counting() as mode:
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                with torch.no_grad():
                    F.cross_entropy(model(data[0]), data[1])
            counted.append(mode.seen)
        return counted

    plain = operations()
    with watching() as record:
        assert operations() == plain
    assert len(record.values(s.LOSS)) == 200


def test_real_and_fake_losses_stay_one_update_however_long_it_trains(data):
    """A GAN: the generator makes one backward per update, the discriminator two."""
    with watching() as record:
        judge, maker = nn.Linear(8, 3), nn.Linear(8, 8)
        d, g = (torch.optim.SGD(m.parameters(), lr=0.01) for m in (judge, maker))
        for _ in range(60):
            d.zero_grad()
            F.cross_entropy(judge(data[0]), data[1]).backward()
            F.cross_entropy(judge(maker(data[0]).detach()), data[1]).backward()
            d.step()
            g.zero_grad()
            F.cross_entropy(judge(maker(data[0])), data[1]).backward()
            g.step()
    twice = dict(zip(record.steps(s.BACKWARDS), record.values(s.BACKWARDS), strict=True))
    assert len(record.values(s.LOSS, "0")) == len(record.values(s.LOSS, "1")) == 60
    assert set(twice) == set(range(60)) - {step for step in range(60) if twice.get(step) is None}
    assert len(twice) >= 58 and set(twice.values()) == {2.0}
    assert set(record.values(s.STALE_GRADIENT, "0")) | set(record.values(s.STALE_GRADIENT, "1")) == {0.0}


def test_a_step_that_failed_does_not_blind_the_watch_to_other_optimisers(data):
    with watching() as record:
        models = [nn.Linear(8, 3) for _ in range(2)]
        failing = Failing(models[0].parameters(), lr=0.1)
        other = torch.optim.SGD(models[1].parameters(), lr=0.1)
        train(models[0], failing, data)
        failing.fails = True
        with pytest.raises(ValueError, match="no memory"):
            train(models[0], failing, data)
        seen = [train(models[1], other, data) for _ in range(5)]
    assert record.values(s.LOSS, "1") == pytest.approx(seen)


def test_a_backward_of_nothing_is_no_fault(data):
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            torch.autograd.backward([])
            train(model, optimizer, data)
    assert len(record.values(s.LOSS)) == 5


def test_two_optimisers_of_the_same_parameters_are_announced_once_each(data):
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizers = [torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.Adam(model.parameters())]
        for _ in range(10):
            for optimizer in optimizers:
                train(model, optimizer, data)
    assert len(record.of("optimizer")) == 2
    assert len(record.values(s.LOSS)) == 20


@pytest.mark.parametrize("wrong", [{"lang": "fr"}, {"budget": -1}, {"budget": "3"}])
def test_wrong_arguments_of_watch_are_named_at_once(wrong):
    with pytest.raises(BadUsage, match=repr(*wrong.values())), losscope.watch(**wrong):
        raise AssertionError("the block must not run")


def test_threads_that_train_one_after_the_other(data):
    with watching() as record:

        def work():
            model = nn.Linear(8, 3)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(20):
                train(model, optimizer, data)

        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert len(record.values(s.LOSS, "0")) == len(record.values(s.LOSS, "1")) == 20


def test_parameters_of_a_running_model_may_be_swapped(data):
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    with watching() as record:
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            for _ in range(3):
                train(model, optimizer, data)
                model.to(torch.float64).to(torch.float32)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(swapping)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, optimizer, data)
    assert len(record.values(s.LOSS, "0")) == 4
    assert {tuple(names) for names in (e["parameters"] for e in record.of("optimizer"))} == {
        ("weight", "bias")
    }


@pytest.mark.parametrize("share", [0.001, 1e9])
def test_a_training_that_is_over_has_ended_before_the_next_one_begins(data, share):
    with watching(share) as record:
        for _ in range(2):
            model = nn.Linear(8, 3)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(200):
                train(model, optimizer, data)
    assert max(record.values(s.STEP_TIME, "0")) <= min(record.values(s.STEP_TIME, "1"))


def test_each_training_of_several_is_sampled_when_it_begins(data):
    """Also where the last sample was taken a moment ago."""
    with watching() as record:
        for updates in (100, 4, 4, 4, 4):
            model = nn.Linear(8, 3)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(updates):
                train(model, optimizer, data)
    assert {e["stream"] for e in record.of("anatomy")} == {"0", "1", "2", "3", "4"}
    assert all(record.values(s.TERM_CHANCE, f"{i}/0") for i in range(5))
