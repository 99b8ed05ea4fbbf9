"""The fast path records what the slow path records, whatever a training loop does in between."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_watch import MemoryRecorder
from torch import nn

from losscope.recording import signals as s
from losscope.watching import fast_path, values
from losscope.watching import watch as watch_module
from losscope.watching.assembly import assemble
from losscope.watching.budget import Governor
from losscope.watching.watch import Watch

STREAMS = ("0", "1")


class SGD(torch.optim.SGD):
    """A step of its own around the one of its base, which fails where it is told to."""

    fails = False

    def step(self, closure=None):
        if self.fails:
            raise ValueError("out of memory")
        return super().step(closure)


class Trainer:
    """Two models with an optimiser each, and everything that a loop may do with them."""

    def __init__(self):
        torch.manual_seed(0)
        self.x, self.y = torch.randn(16, 4), torch.randint(0, 3, (16,))
        self.models = [nn.Linear(4, 3), nn.Linear(4, 3)]
        torch.optim.SGD([torch.zeros(1)])  # the hooks of the base class are set when the first one is made
        self.optimizers = [SGD(m.parameters(), lr=0.1, momentum=0.5) for m in self.models]

    def loss(self, which):
        return F.cross_entropy(self.models[which](self.x), self.y)

    def plain(self, which=0):
        self.optimizers[which].zero_grad()
        self.loss(which).backward()
        self.optimizers[which].step()

    def other(self):
        self.plain(1)

    def accumulated(self):
        self.optimizers[0].zero_grad()
        for _ in range(2):
            (self.loss(0) / 2).backward()
        self.optimizers[0].step()

    def shared(self):
        """One backward for both optimisers."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        (self.loss(0) + self.loss(1)).backward()
        for optimizer in self.optimizers:
            optimizer.step()

    def step_alone(self):
        self.optimizers[0].step()

    def failing_step(self):
        self.backward_alone()
        self.optimizers[0].fails = True
        with pytest.raises(ValueError, match="memory"):
            self.optimizers[0].step()
        self.optimizers[0].fails = False
        self.plain()

    def closure(self):
        def evaluate():
            self.optimizers[0].zero_grad()
            loss = self.loss(0)
            loss.backward()
            return loss

        self.optimizers[0].step(evaluate)

    def several_roots(self):
        self.optimizers[0].zero_grad()
        torch.autograd.backward([self.loss(0), 0.5 * self.loss(0)])
        self.optimizers[0].step()

    def one_element(self):
        self.optimizers[0].zero_grad()
        self.loss(0).reshape(1).backward()
        self.optimizers[0].step()

    def attack(self):
        x = self.x.clone().requires_grad_()
        torch.autograd.grad(F.cross_entropy(self.models[0](x), self.y), x)

    def failing_backward(self):
        with pytest.raises(RuntimeError):
            torch.zeros(()).backward()

    def evaluation(self):
        with torch.no_grad():
            self.loss(0)

    def backward_alone(self):
        self.optimizers[0].zero_grad()
        self.loss(0).backward()

    def recreated(self):
        self.optimizers[0] = SGD(self.models[0].parameters(), lr=0.05)


class ByHand:
    """Updates without an optimiser."""

    def __init__(self):
        torch.manual_seed(0)
        self.x, self.y = torch.randn(16, 4), torch.randn(16)
        self.w = torch.zeros(4, requires_grad=True)

    def loss(self):
        return F.mse_loss(self.x @ self.w, self.y)

    def plain(self):
        self.loss().backward()
        with torch.no_grad():
            self.w -= 0.01 * self.w.grad
        self.w.grad = None

    def evaluation(self):
        with torch.no_grad():
            self.loss()

    def attack(self):
        x = self.x.clone().requires_grad_()
        torch.autograd.grad(F.mse_loss(x @ self.w, self.y), x)


BY_HAND = ["attack", "evaluation", "plain"]
MOVES = sorted(name for name in vars(Trainer) if not name.startswith("_") and name not in {"loss", "plain"})


def first_only(governor, update):
    """One deep sample, the first: it tells the watch which parameters there are."""
    governor.look_at = 1 if update == 0 else 10**9
    return update == 0


def run(moves, monkeypatch, stride, make=Trainer):
    """What is recorded of a loop: ``moves`` between stretches of plain updates."""
    recorder = MemoryRecorder()
    with monkeypatch.context() as patch:
        patch.setattr(Governor, "adapt", lambda self: False)
        patch.setattr(Governor, "wants_deep", first_only)
        patch.setattr(watch_module, "_CLOSELY", 4)
        patch.setattr(watch_module, "_LEARN_UPDATES", 10**9)  # always check whether gradients were cleared
        fast = []
        left = Watch.left_fast_path
        patch.setattr(
            Watch, "left_fast_path", lambda self, *of, **how: (fast.append(of[0]), left(self, *of, **how))[1]
        )
        watch, hooks = assemble(recorder, share=1.0)
        watch._adapt_at = 4
        watch.governor.stride = stride
        trainer = make()
        hooks.install()
        assert hooks.blind == []
        try:
            for _ in range(8):
                trainer.plain()
            for name, between in moves:
                getattr(trainer, name)()
                for _ in range(between):
                    trainer.plain()
        finally:
            watch.finish()
            hooks.remove()
    assert recorder.of("fault") == []
    return recorder, sum(fast)


def the_same_losses_at_the_same_steps(moves):
    with pytest.MonkeyPatch.context() as monkeypatch:
        slow, none = run(moves, monkeypatch, stride=0)
        fast, some = run(moves, monkeypatch, stride=1)
        thin, _ = run(moves, monkeypatch, stride=3)
    assert none == 0 and some > 0
    for stream in STREAMS:
        expected = dict(zip(slow.steps(s.LOSS, stream), slow.values(s.LOSS, stream), strict=True))
        assert dict(zip(fast.steps(s.LOSS, stream), fast.values(s.LOSS, stream), strict=True)) == expected
        thinned = dict(zip(thin.steps(s.LOSS, stream), thin.values(s.LOSS, stream), strict=True))
        # A backward without a step, in an update that is only counted, is not seen: its loss is not added then.
        if not {"backward_alone", "failing_step"} & {name for name, _ in moves}:
            assert thinned.items() <= expected.items()
        for other in (fast, thin):
            assert max(other.steps(s.STEP_TIME, stream), default=None) == max(
                slow.steps(s.STEP_TIME, stream), default=None
            )
    for signal in (s.EVALUATION_LOSS, s.BACKWARDS):
        label = "cross_entropy" if signal is s.EVALUATION_LOSS else "0"
        assert fast.values(signal, label) == slow.values(signal, label)


def updates_by_hand_too(moves):
    with pytest.MonkeyPatch.context() as monkeypatch:
        slow, none = run(moves, monkeypatch, stride=0, make=ByHand)
        fast, some = run(moves, monkeypatch, stride=1, make=ByHand)
        thin, _ = run(moves, monkeypatch, stride=3, make=ByHand)
    assert none == 0 and some > 0
    expected = dict(zip(slow.steps(s.LOSS), slow.values(s.LOSS), strict=True))
    assert len(expected) == 8 + sum(between + (name == "plain") for name, between in moves)
    assert dict(zip(fast.steps(s.LOSS), fast.values(s.LOSS), strict=True)) == expected
    assert dict(zip(thin.steps(s.LOSS), thin.values(s.LOSS), strict=True)).items() <= expected.items()
    assert thin.steps(s.STEP_TIME)[-1] == fast.steps(s.STEP_TIME)[-1] == max(expected)


def losses_that_stay_on_their_device_take_it_as_well(moves):
    def on_device(value):
        return value.detach().reshape(()).clone()

    with pytest.MonkeyPatch.context() as monkeypatch:
        at_once, _ = run(moves, monkeypatch, stride=1)
        for module in (values, fast_path):
            monkeypatch.setattr(module, "number", on_device)
        later, some = run(moves, monkeypatch, stride=1)
    assert some > 0
    for stream in STREAMS:
        assert later.steps(s.LOSS, stream) == at_once.steps(s.LOSS, stream)
        assert later.values(s.LOSS, stream) == pytest.approx(at_once.values(s.LOSS, stream), rel=1e-6)


PROPERTIES = {
    the_same_losses_at_the_same_steps: MOVES,
    updates_by_hand_too: BY_HAND,
    losses_that_stay_on_their_device_take_it_as_well: MOVES,
}


@pytest.mark.parametrize("examples", [6, pytest.param(40, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda f: f.__name__)
def test_whatever_a_loop_does(holds, examples):
    moves = st.lists(st.tuples(st.sampled_from(PROPERTIES[holds]), st.integers(0, 9)), max_size=12)
    settings(max_examples=examples, deadline=None, derandomize=True)(given(moves=moves)(holds))()
