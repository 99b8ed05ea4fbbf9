"""What the streaming linear cross-entropy does on accelerators, emulated on the CPU: it never looks at the data, and
makes products of bfloat16. ``tests/accelerators`` runs it on a GPU."""

import pytest
import torch
from linear_cross_entropy_reference import (
    CLASS_WEIGHT,
    OPTIONS,
    N,
    agree,
    all_orders,
    case,
    never_looking,
    reference,
    small_blocks,  # noqa: F401  used by every test here
)

from losscope.losses.large_output import head as head_module
from losscope.losses.large_output.linear_cross_entropy import (
    linear_cross_entropy,
    linear_cross_entropy_statistics,
)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_what_is_computed_where_looking_at_the_data_would_wait(
    reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_looking(monkeypatch)
    for options in OPTIONS:
        how = {**options, "reduction": reduction, "chunk_rows": 5}
        found, expected = (
            all_orders(loss, CLASS_WEIGHT, **how) for loss in (linear_cross_entropy, reference)
        )
        assert agree(found, expected), how


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_products_of_bfloat16_are_good_to_its_precision(
    reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w, y, b = (t.detach().bfloat16() if t.is_floating_point() else t for t in case())
    exact = [t.double().requires_grad_() for t in (x, w, b)]
    low = [t.clone().requires_grad_() for t in (x, w, b)]
    for elsewhere in (False, True):
        if elsewhere:
            monkeypatch.setattr(head_module, "has_fast_bfloat16", lambda _: True)
            never_looking(monkeypatch)
        for options in OPTIONS:
            how = {**options, "reduction": reduction, "chunk_rows": 5}
            found, expected = (
                loss(t[0], t[1], y, t[2], **how)
                for loss, t in ((linear_cross_entropy, low), (reference, exact))
            )
            torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
            for a, e in zip(
                torch.autograd.grad(found.sum(), low),
                torch.autograd.grad(expected.sum(), exact),
                strict=True,
            ):
                assert (a.double() - e).norm() <= 1e-2 * e.norm(), how


def test_ignored_samples_do_not_count_there_whatever_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, y, b = case()
    with torch.no_grad():
        x[y == -100] = torch.nan
    expected = linear_cross_entropy(x, w, y, b, label_smoothing=0.1)
    known = linear_cross_entropy_statistics(x, w, y, b)
    gradients = torch.autograd.grad(expected, (x, w, b))
    never_looking(monkeypatch)
    found = linear_cross_entropy(x, w, y, b, label_smoothing=0.1)
    assert agree([found, *torch.autograd.grad(found, (x, w, b))], [expected, *gradients])
    assert agree([*linear_cross_entropy_statistics(x, w, y, b)[:4]], [*known[:4]])
    assert linear_cross_entropy_statistics(x, w, y, b).samples == known.samples == N - 1
    nothing = linear_cross_entropy(x, w, torch.full_like(y, -100), b)
    assert nothing == 0
    assert all((g == 0).all() for g in torch.autograd.grad(nothing, (x, w, b)))
