"""Reading an objective changes nothing that training could notice."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losscope.anatomy.nonfinite import nonfinite_origin
from losscope.anatomy.reach import reached_parameters
from losscope.anatomy.read import read

Objective = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": lambda m, x, y, t: F.cross_entropy(m(x), y, label_smoothing=0.1),
    "mse-by-hand": lambda m, x, y, t: ((m(x) - t) ** 2).mean(),
    "bce+l2": lambda m, x, y, t: (
        F.binary_cross_entropy_with_logits(m(x), t) + 0.01 * sum((p**2).sum() for p in m.parameters())
    ),
    "vae": lambda m, x, y, t: F.mse_loss(m(x), t) - 0.5 * torch.sum(1 + m(x) - m(x).pow(2) - m(x).exp()),
    "unknown": lambda m, x, y, t: torch.erf(m(x)).mean() + F.l1_loss(m(x), t),
}


def gradients(objective: Objective, watched: bool) -> tuple[list[Tensor], tuple[object, ...]]:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 4))
    x, y, t = torch.randn(10, 6), torch.randint(4, (10,)), torch.rand(10, 4)
    loss = objective(model, x, y, t)
    if watched:
        versions = [p._version for p in model.parameters()] + [x._version, t._version, loss._version]
        read(loss, frame=None)
        reached_parameters(loss)
        nonfinite_origin(loss)
        assert versions == [p._version for p in model.parameters()] + [x._version, t._version, loss._version]
        assert all(p.grad is None for p in model.parameters())
        assert torch.is_grad_enabled()
    loss.backward()
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    state = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    return grads, state


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_and_random_states_are_bitwise_the_same(name: str) -> None:
    plain, state = gradients(OBJECTIVES[name], watched=False)
    watched, watched_state = gradients(OBJECTIVES[name], watched=True)
    assert len(plain) == 4
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert state == watched_state


def test_a_reader_that_draws_a_random_number_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted mutant: one torch.rand() inside the reading."""
    _, state = gradients(OBJECTIVES["cross-entropy"], watched=False)
    import losscope.anatomy.read as module

    original = module.terms_of
    monkeypatch.setattr(module, "terms_of", lambda *a, **k: (torch.rand(1), original(*a, **k))[1])
    _, watched = gradients(OBJECTIVES["cross-entropy"], watched=True)
    assert state != watched


def test_modes_of_the_user_do_not_see_us() -> None:
    from torch.overrides import TorchFunctionMode
    from torch.utils.flop_counter import FlopCounterMode

    seen = []

    class Spy(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    model = nn.Linear(3, 2)
    x = torch.randn(5, 3)
    loss = F.cross_entropy(model(x), torch.zeros(5, dtype=torch.long)) + model(x).mean()
    with Spy(), FlopCounterMode(display=False) as flops:
        read(loss)
        assert flops.get_total_flops() == 0
    operations = [f for f in seen if "detach" in str(f) or "sum" in str(f) or "exp" in str(f)]
    assert operations == []
