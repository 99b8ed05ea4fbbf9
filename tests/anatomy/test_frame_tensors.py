"""Operands and names are found in the caller's variables, which stay as they are."""

import inspect
import sys
import weakref

import torch
import torch.nn.functional as F
from torch import nn

from losscope.anatomy.anatomy import Anatomy
from losscope.anatomy.read import read

net = nn.Linear(4, 3)
X = torch.randn(8, 4)


# pytest's rewritten asserts call locals(), which makes a function's variables off limits; so these
# helpers hold none.
def hand_written(seen: dict[str, torch.Tensor]) -> Anatomy:
    predicted = net(X)
    wanted = torch.randn(8, 3)
    unused = torch.randn(8, 3)
    anatomy = read(((predicted - wanted) ** 2).mean(), frame=inspect.currentframe())
    seen.update(wanted=wanted, unused=unused)
    return anatomy


def test_a_hand_written_loss_gets_its_operands() -> None:
    seen: dict[str, torch.Tensor] = {}
    anatomy = hand_written(seen)
    term = anatomy.terms[0]
    assert anatomy.expression == "1.0 · mse(predicted[8,3], wanted; mean)"
    assert term.target is not None
    assert torch.equal(term.target, seen["wanted"])
    assert term.prediction is not None


def reversed_difference() -> Anatomy:
    out = net(X)
    batch = (X, torch.randn(8, 3))
    return read((batch[1] - out).abs().mean(), frame=inspect.currentframe())


def test_reversed_difference_and_a_batch_tuple() -> None:
    term = reversed_difference().terms[0]
    assert (term.name, term.target_name) == ("out", "batch[1]")


def fused() -> Anatomy:
    logits = net(X)
    labels = {"y": torch.zeros(8, dtype=torch.long)}
    return read(F.cross_entropy(logits, labels["y"]), frame=inspect.currentframe())


def test_names_of_a_fused_loss() -> None:
    assert fused().expression == "1.0 · cross_entropy(logits[8,3], labels['y']; mean)"


def nearly_equal() -> Anatomy:
    predicted = net(X)
    exact = torch.randn(8, 3)
    near = exact * (1 + 1e-3)
    return read(((predicted - exact) ** 2).mean() + 0 * near.sum(), frame=inspect.currentframe())


def test_a_target_that_is_only_close_is_not_taken() -> None:
    """The planted look-alike stands among the variables too."""
    assert nearly_equal().terms[0].target_name == "exact"


def test_variables_are_not_kept_alive() -> None:
    def step() -> weakref.ref:
        big = net(X)
        loss = ((big - torch.ones(8, 3)) ** 2).mean()
        read(loss, frame=inspect.currentframe())
        watcher = weakref.ref(big)
        del big, loss
        assert watcher() is None
        return watcher

    step()


def test_a_dictionary_from_locals_is_left_alone() -> None:
    def step() -> dict[str, object]:
        first = 1
        mine = locals()
        before = dict(mine)
        predicted = net(X)
        read(((predicted - 1) ** 2).mean(), frame=inspect.currentframe())
        assert mine.keys() == before.keys()
        assert mine["first"] == first
        return mine

    if sys.version_info < (3, 13):
        step()


def test_module_globals_are_read_and_not_emptied() -> None:
    scope: dict[str, object] = {"net": net, "X": X, "read": read, "sys": sys, "torch": torch}
    code = (
        "pred = net(X)\ntruth = torch.randn(8, 3)\n"
        "anatomy = read(((pred - truth) ** 2).mean(), frame=sys._getframe())"
    )
    exec(compile(code, "<script>", "exec"), scope)
    assert str(scope["anatomy"]) == "1.0 · mse(pred[8,3], truth; mean)"
    assert scope["net"] is net
