"""Clearing is judged by the state of .grad, whoever did it."""

import pytest
import torch

from losscope.watching.gradient_state import GradientState


def model_with_gradient():
    model = torch.nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    return model


CLEARING = {
    "module.zero_grad": lambda m: m.zero_grad(),
    "to zero": lambda m: m.zero_grad(set_to_none=False),
    "p.grad = None": lambda m: [setattr(p, "grad", None) for p in m.parameters()],
    "p.grad.zero_": lambda m: [p.grad.zero_() for p in m.parameters()],
    "p.grad.fill_": lambda m: [p.grad.fill_(0.0) for p in m.parameters()],
    "p.grad = zeros": lambda m: [setattr(p, "grad", torch.zeros_like(p)) for p in m.parameters()],
    "del": lambda m: [delattr(p, "grad") for p in m.parameters()],
}
KEEPING = {
    "nothing": lambda m: None,
    "clipping": lambda m: torch.nn.utils.clip_grad_norm_(m.parameters(), 0.1),
    "scaling": lambda m: [p.grad.mul_(0.5) for p in m.parameters()],
    "reading": lambda m: [p.grad.norm() for p in m.parameters()],
}


@pytest.mark.parametrize("clear", CLEARING.values(), ids=CLEARING)
@pytest.mark.parametrize("again", [False, True], ids=["noted once", "noted again"])
def test_cleared(clear, again):
    model, state = model_with_gradient(), GradientState()
    state.note(model.parameters())
    if again:
        state.renote()
    clear(model)
    assert state.cleared() is True


@pytest.mark.parametrize("keep", KEEPING.values(), ids=KEEPING)
def test_not_cleared(keep):
    model, state = model_with_gradient(), GradientState()
    state.note(model.parameters())
    keep(model)
    assert state.cleared() is False


def test_unknown_without_gradients_or_with_dead_parameters():
    state = GradientState()
    state.note(torch.nn.Linear(3, 2).parameters())
    assert state.empty and state.cleared() is None
    state.note(model_with_gradient().parameters())
    assert state.cleared() is None  # the model is gone


def test_nothing_is_kept_alive():
    import weakref

    model, state = model_with_gradient(), GradientState()
    state.note(model.parameters())
    reference = weakref.ref(model.weight)
    del model
    assert reference() is None
