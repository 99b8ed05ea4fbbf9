"""Losses recognised by the graphs of their own functions: conservative, cheap, and unseen by the user."""

import json
import random
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losscope
from losscope.anatomy import catalogue, survey
from losscope.anatomy.finder import UNCONFIRMED
from losscope.anatomy.read import read
from losscope.losses.catalogue import specs
from losscope.losses.segmentation.dice import DiceLoss, dice_loss

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
MASK = (torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(1)) < 0.5).float()


@pytest.fixture
def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 25), nn.Sigmoid(), nn.Unflatten(1, (1, 5, 5)))


def by_template(loss: Tensor) -> list[str]:
    """Kinds in a reading that no signature was written for."""
    found = [term.spec for term in read(loss).terms if term.spec is not None]
    return [spec.name for spec in found if not spec.signatures and not spec.combinations]


STORED = json.loads(survey.FILE.read_text(encoding="ascii"))
with_stored_surveys = pytest.mark.skipif(
    [int(part) for part in survey.version().split(".")] < [int(part) for part in STORED["torch"].split(".")],
    reason=f"the stored surveys are those of torch {STORED['torch']}; an older one makes its own",
)


@with_stored_surveys
def test_the_stored_surveys_are_those_of_the_losses() -> None:
    assert json.loads(json.dumps(survey.stored())) == STORED, (
        "losses have changed: run `python -m losscope.anatomy.survey`"
    )


def test_function_and_module_of_a_user_are_named(net: nn.Module) -> None:
    prediction = net(X[:4])
    loss = dice_loss(prediction, MASK)
    assert repr(losscope.read(loss)) == "1.0 · dice(f(x)[4,1,5,5], y; mean)"
    assert repr(losscope.read(DiceLoss()(prediction, MASK))) == repr(losscope.read(loss))
    (term,) = read(loss / 4).terms
    assert term.coefficient == pytest.approx(0.25)
    assert term.value == pytest.approx(loss.item(), rel=1e-6)
    assert term.activation == "sigmoid"
    assert term.target is not None
    assert torch.equal(term.target, MASK)


def test_unreduced_losses_may_be_reduced_by_the_user() -> None:
    poly1 = losscope.losses.get("poly1").function
    assert poly1 is not None
    logits, y = nn.Linear(6, 5)(X), torch.arange(16) % 5
    losses = poly1(logits, y, epsilon=0.5, reduction="none")
    for loss, coefficient, reduction in ((losses.mean(), 1.0, "mean"), (3 * losses.sum(), 3.0, "sum")):
        (term,) = read(loss).terms
        assert (term.kind, term.reduction) == ("poly1", reduction)
        assert term.coefficient == pytest.approx(coefficient)
        assert term.options["epsilon"] == 0.5
        assert term.options["num_classes"] == 5
        assert term.target is not None
        assert torch.equal(term.target, y)


def test_an_option_that_no_operation_keeps_is_told_by_the_value() -> None:
    contrastive = losscope.losses.get("contrastive_pair").function
    assert contrastive is not None
    one, other = 0.1 * nn.Linear(6, 3)(X), 0.1 * nn.Linear(6, 3)(X)
    same = (torch.arange(16) % 2).float()
    for margin in (0.3, 1.7, 4.0):
        (term,) = read(contrastive(one, other, same, margin=margin)).terms
        assert term.kind == "contrastive_pair"
        assert term.options.get("margin", 1.0) == pytest.approx(margin)
        assert UNCONFIRMED not in term.notes


GENERIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": lambda x, t: x.mean(),
    "square": lambda x, t: x.square().mean(),
    "exponent": lambda x, t: (x - t).pow(4).mean(),
    "softplus": lambda x, t: F.softplus(x).mean(),
    "log-sum-exp": lambda x, t: x.logsumexp(1).mean(),
    "norm": lambda x, t: x.norm(dim=1).mean(),
    "sqrt of a square": lambda x, t: (x.square() + 1e-6).sqrt().mean(),
    "variance": lambda x, t: x.var(0).mean(),
    "smoothness": lambda x, t: (x[:, 1:] - x[:, :-1]).abs().mean(),
    "activation": lambda x, t: torch.tanh(x.sin() * 2).square().mean(),
    "attention": lambda x, t: ((x @ x.mT).softmax(1) @ x).square().mean(),
    "overlap without a ratio": lambda x, t: 1 - (x.sigmoid() * t).sum(1).mean(),
    "ratio": lambda x, t: (x.sigmoid() * t).sum() / (1 + x.sigmoid().sum()),
    "dice with three": lambda x, t: 1 - (3 * (x.sigmoid() * t).sum(1) / (x.sigmoid() + t).sum(1)).mean(),
    "weights": lambda x, t: (t * (x - 0.3).square()).mean(),
    "quotient": lambda x, t: ((x - t).abs() / (1 + t)).mean(),
    "cube": lambda x, t: (x - t).abs().pow(3).mean(),
    "charbonnier of order 4": lambda x, t: ((x - t).pow(4) + 1e-3).sqrt().mean(),
}


@pytest.mark.parametrize("name", GENERIC)
def test_an_objective_that_is_no_loss_of_the_catalogue_is_named_by_no_template(name: str) -> None:
    t = torch.rand(16, 5, generator=torch.Generator().manual_seed(2))
    assert by_template(GENERIC[name](nn.Linear(6, 5)(X), t)) == []


class Spy(torch.overrides.TorchFunctionMode):
    """Notes every function that a user's mode sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


def test_templates_are_made_unseen(net: nn.Module) -> None:
    """No random number, no mode, no hook, no warning and no setting of the user's tells that losses were called."""
    loss = dice_loss(net(X[:4]), MASK)
    random.seed(1)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    seen = []
    with (
        warnings.catch_warnings(),
        Spy() as spy,
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.no_grad(),
    ):
        warnings.simplefilter("error")
        for prepare in (catalogue.tree.cache_clear, catalogue.tree):
            prepare()
            spy.seen.clear()
            assert read(loss).terms[0].kind == "dice"
            seen.append([str(function) for function in spy.seen])
        assert torch.is_autocast_enabled("cpu")
        assert not torch.is_grad_enabled()
    assert seen[0] == seen[1]
    after = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_no_hook_on_saved_tensors_is_run(net: nn.Module) -> None:
    """While the user's hooks are active nothing is called; afterwards the same loss is recognised."""
    packed: list[Tensor] = []
    loss = dice_loss(net(X[:4]), MASK)
    catalogue.tree.cache_clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        read(loss)
        assert packed == []
    assert read(loss).terms[0].kind == "dice"


def test_losses_that_draw_random_numbers_have_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = specs()["dice"]
    state = torch.get_rng_state()

    def noisy(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
        return dice_loss((input + 0.01 * torch.rand_like(input)).clamp(0, 1), target, reduction=reduction)

    object.__setattr__(spec, "function", noisy)
    try:
        found = survey.survey(spec)
    finally:
        object.__setattr__(spec, "function", dice_loss)
    assert found == survey.Survey((), ("it draws random numbers",))
    assert torch.equal(state, torch.get_rng_state())


FIRST_READ = """
import torch, losscope.anatomy.read as reading
from losscope.losses.segmentation.dice import dice_loss
from losscope.anatomy import catalogue
from losscope.losses.graph import trace
calls, surveyed = [], catalogue._stored()
whole = trace.trace
def counted(spec, *args, **kwargs):
    if spec.name in surveyed:
        calls.append(spec.name)
    return whole(spec, *args, **kwargs)
trace.trace = counted
import losscope.losses.graph.fit as fit
fit.trace = counted
p = torch.nn.Linear(4, 4)(torch.rand(8, 1, 4, 4)).sigmoid()
reading.read(dice_loss(p, torch.ones(8, 1, 4, 4)))
print(len(calls), *sorted(set(calls)))
reading.read(dice_loss(p, torch.ones(8, 1, 4, 4)))
print(len(calls))
"""


@with_stored_surveys
def test_only_losses_with_the_objectives_operations_are_called() -> None:
    """The cost of the first reading: a few calls of the loss itself and of what begins like it, then none."""
    run = subprocess.run([sys.executable, "-c", FIRST_READ], capture_output=True, text=True, check=True)
    first, second = run.stdout.splitlines()
    count, *called = first.split()
    assert "dice" in called
    assert len(called) <= 6, called
    assert int(count) <= 40
    assert second == count
