"""Random linear combinations of random known losses are read back term by term."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from losscope.anatomy.read import read
from losscope.losses.examples import build, namespace

# Losses with a plain value each; a penalty merges with itself, so it may appear once.
KNOWN = {
    "cross_entropy": "F.cross_entropy(x, y)",
    "mse": "F.mse_loss(x, t)",
    "l1": "(x - t).abs().mean()",
    "huber": "F.huber_loss(x, t, delta=0.5)",
    "smooth_l1": "F.smooth_l1_loss(u, t)",
    "binary_cross_entropy_with_logits": "F.binary_cross_entropy_with_logits(u, t)",
    "binary_cross_entropy": "F.binary_cross_entropy(p, t)",
    "kl_div": "F.kl_div(u.log_softmax(1), s, reduction='batchmean')",
    "multi_margin": "F.multi_margin_loss(x, y)",
    "soft_margin": "F.soft_margin_loss(u, g)",
    "hinge": "F.relu(1 - g * x).mean()",
    "log_cosh": "(x - t).cosh().log().mean()",
    "l2_penalty": "sum((q ** 2).sum() for q in params)",
    "cosine_similarity": "F.cosine_similarity(x, u).mean()",
    "entropy": "-(x.softmax(1) * x.log_softmax(1)).sum(1).mean()",
    "rmse": "F.mse_loss(x, t).sqrt()",
}
coefficients = st.floats(0.01, 100).map(lambda c: float(f"{c:.4g}"))
signs = st.sampled_from([1.0, -1.0])


def combined(losses: list[Tensor], factors: list[float], form: str) -> Tensor:
    if form == "sum":
        return sum(c * loss for c, loss in zip(factors, losses, strict=True))  # type: ignore[return-value]
    if form == "stack":
        return (torch.tensor(factors, dtype=torch.float64) * torch.stack(losses)).sum()
    if form == "divide":
        return sum(loss / (1 / c) for c, loss in zip(factors, losses, strict=True))  # type: ignore[return-value]
    total = losses[0].new_zeros(())
    for c, loss in zip(factors, losses, strict=True):
        total = torch.add(total, loss, alpha=c)
    return total


@settings(max_examples=60)
@given(
    names=st.lists(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=4, unique=True),
    data=st.data(),
    form=st.sampled_from(["sum", "stack", "divide", "alpha"]),
    seed=st.integers(0, 5),
)
def test_coefficients_and_values_come_back(
    names: list[str], data: st.DataObject, form: str, seed: int
) -> None:
    factors = [data.draw(coefficients) * data.draw(signs) for _ in names]
    space = namespace(seed)
    losses = [build(KNOWN[name], space) for name in names]
    total = combined(losses, factors, form)
    anatomy = read(total)
    assert [t.kind for t in anatomy.terms] == names, anatomy
    for term, factor, loss in zip(anatomy.terms, factors, losses, strict=True):
        assert term.coefficient == pytest.approx(factor, rel=1e-6)
        assert term.value == pytest.approx(
            loss.item(), rel=1e-6, abs=1e-9 + 1e-12 / abs(factor) * abs(total.item())
        )
    rebuilt = math.fsum(t.coefficient * t.value for t in anatomy.terms if t.value is not None)
    assert rebuilt == pytest.approx(anatomy.value, rel=1e-9, abs=1e-9)


@given(
    steps=st.lists(
        st.sampled_from(["view", "clone", "float", "neg2", "half2", "squeeze", "index"]), max_size=6
    )
)
def test_views_casts_and_copies_are_seen_through(steps: list[str]) -> None:
    space = namespace(0)
    loss = build(KNOWN["cross_entropy"], space)
    value = loss.item()
    for step in steps:
        if step == "view":
            loss = loss.reshape(1, 1).view(())
        elif step == "clone":
            loss = loss.clone()
        elif step == "float":
            loss = loss.float().double()
        elif step == "neg2":
            loss = loss.neg().neg()
        elif step == "half2":
            loss = loss / 2 * 2
        elif step == "squeeze":
            loss = loss.unsqueeze(0).squeeze()
        else:
            loss = torch.stack([loss, loss])[1]
    (term,) = read(loss).terms
    assert term.kind == "cross_entropy"
    assert term.coefficient == pytest.approx(1.0)
    assert term.value == pytest.approx(value, rel=1e-6)
