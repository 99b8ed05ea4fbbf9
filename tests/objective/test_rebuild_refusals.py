"""What cannot be rebuilt from watched updates says why; nothing of the user's is kept or changed."""

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from rebuilding import loop, net, refused, watched, x, y
from torch import nn

from losscope.watching import keeper


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr(keeper, "compiled", lambda: False)


class Counting(nn.Linear):
    """Remembers how often it was called, and computes something else each time."""

    def forward(self, a):
        STATE[0] += 1
        return super().forward(a) * STATE[0]


STATE = [0]


def test_an_unknown_loss_is_refused():
    assert "not known" in refused(loop(lambda m: (m(x()) ** 5).cos().mean()))


def test_a_module_that_remembers_is_refused():
    assert "not the same objective" in refused(
        loop(lambda m: nn.CrossEntropyLoss()(m(x()), y()), Counting(5, 3))
    )


def test_gradients_that_were_never_cleared_are_refused():
    def train():
        model = net()
        opt = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(5):
            F.cross_entropy(model(x()), y()).backward()
            opt.step()

    assert "gradient" in refused(train)


def test_two_optimisers_are_refused():
    def train():
        one, two = net(), net()
        opts = [torch.optim.SGD(m.parameters(), lr=0.05) for m in (one, two)]
        for _ in range(6):
            for m, opt in zip((one, two), opts, strict=True):
                opt.zero_grad()
                F.cross_entropy(m(x()), y()).backward()
                opt.step()

    assert "2 objectives" in refused(train)


def test_what_goes_through_plain_functions_between_modules_is_refused():
    first, second = nn.Linear(5, 8), nn.Linear(8, 3)
    both = nn.ModuleList([first, second])
    assert "outside of any module" in refused(
        loop(lambda _: F.cross_entropy(second(first(x()).relu()), y()), both)
    )


def test_a_gradient_that_was_changed_by_hand_is_refused():
    def train():
        model = net()
        opt = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(5):
            opt.zero_grad()
            F.cross_entropy(model(x()), y()).backward()
            for p in model.parameters():
                p.grad.add_(torch.randn_like(p) * 0.1)
            opt.step()

    assert "differs from the one that was used" in refused(train)


def test_nothing_of_the_users_is_kept_alive_and_nothing_changes():
    references = []

    def train(keep):
        torch.manual_seed(3)
        model = net()
        opt = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(6):
            opt.zero_grad()
            a, b = x(), y()
            F.cross_entropy(model(a), b).backward()
            opt.step()
            keep(weakref.ref(a), weakref.ref(model), weakref.ref(model[0].weight))
        keep.state = copy.deepcopy(model.state_dict()), torch.get_rng_state()

    class Keep:
        def __call__(self, *refs):
            references.extend(refs)

    plain, watching = Keep(), Keep()
    train(plain)
    references.clear()
    kept = watched(lambda: train(watching))
    gc.collect()
    assert kept.updates and not [r for r in references if r() is not None]
    for name, tensor in plain.state[0].items():
        assert torch.equal(tensor, watching.state[0][name])
    assert torch.equal(plain.state[1], watching.state[1])
    assert kept.catch_up() is None  # the model is gone: its last values are not
    wanted = [tensor for name, tensor in plain.state[0].items() if name.endswith(("weight", "bias"))]
    assert kept.last is not None
    last = [c for _, c in kept.last.pairs if isinstance(c, nn.Parameter)]
    assert all(torch.equal(c, t) for c, t in zip(last, wanted, strict=True))


def test_the_copies_catch_up_with_a_model_that_lives():
    model = net()
    kept = watched(loop(lambda m: F.cross_entropy(m(x()), y()), model))
    assert kept.catch_up() is None
    assert kept.last is not None
    copied = [c for _, c in kept.last.pairs if isinstance(c, nn.Parameter)]
    assert all(torch.equal(c, p) for c, p in zip(copied, model.parameters(), strict=True))


def test_what_is_compiled_is_left_alone(monkeypatch):
    """Hooks for all modules would be traced by the next compilation, and break a graph that has to be whole."""
    monkeypatch.undo()
    torch.compile(lambda m, a, b: F.cross_entropy(m(a), b), backend="aot_eager")  # not even called so far
    try:
        assert "torch.compile" in refused(loop(lambda m: F.cross_entropy(m(x()), y())))
    finally:
        torch._dynamo.reset()
