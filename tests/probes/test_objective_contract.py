"""What the anatomy event says of each term's contract: task, unit, bounds that hold for any model and data."""

import math

import pytest
import torch
from torch.nn import functional

from losscope.anatomy.read import read
from losscope.probes.objective import _bounds, _normaliser

torch.manual_seed(0)
W = torch.nn.Parameter(torch.randn(10, 5))
X, Y = torch.randn(64, 5), torch.randint(0, 10, (64,))
T = (torch.rand(64, 10) > 0.5).float()
SOFT = torch.softmax(torch.randn(64, 10), 1)
MASK = (torch.arange(64) % 3 > 0).float()
SMOOTHED = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)


def logits():
    return X @ W.T


def ce(**options):
    return functional.cross_entropy(logits(), Y, **options)


def bce(**options):
    return functional.binary_cross_entropy_with_logits(logits(), T, **options)


def first(loss):
    return read(loss).terms[0]


@pytest.mark.parametrize(
    ("loss", "bounds"),
    [
        (ce, (0.0, None)),
        (lambda: ce(label_smoothing=0.1), (pytest.approx(SMOOTHED), None)),
        (lambda: ce(label_smoothing=0.1, reduction="sum"), (None, None)),  # depends on the size of the batch
        (lambda: ce(reduction="sum"), (0.0, None)),
        (lambda: ce(weight=torch.linspace(0, 2, 10)), (0.0, None)),
        (lambda: ce(weight=torch.linspace(-1, 2, 10)), (None, None)),
        (
            lambda: functional.cross_entropy(logits(), SOFT),
            (0.0, None),
        ),  # its floor is that of these targets alone
        (lambda: bce(pos_weight=torch.full((10,), 3.0)), (0.0, None)),
        (lambda: bce(pos_weight=torch.full((10,), -3.0)), (None, None)),
        (lambda: functional.mse_loss(logits(), SOFT), (0.0, None)),
        (lambda: (MASK * ce(reduction="none")).sum() / MASK.sum(), (0.0, None)),
        (lambda: torch.mean(torch.randn(64) * ce(reduction="none")), (None, None)),
        (lambda: functional.gaussian_nll_loss(logits(), SOFT, logits().exp()), (None, None)),
        (lambda: -functional.cosine_similarity(logits(), SOFT).mean(), (None, None)),
        (lambda: torch.sum(W**2), (0.0, None)),
    ],
)
def test_bounds_hold_for_any_model_and_data_or_are_not_told(loss, bounds):
    assert _bounds(first(loss())) == bounds


def floor_of_the_batch(term):
    """The planted wrong version: what is smallest for this batch's targets."""
    return term.floor


def test_the_floor_of_a_batch_is_no_bound():
    term = first(functional.cross_entropy(logits(), SOFT))
    harder = torch.eye(10)[Y]  # other targets of the same loss: their floor is 0
    other = first(functional.cross_entropy(100 * harder.requires_grad_(), torch.eye(10)[Y]))
    assert other.value < floor_of_the_batch(term)
    assert other.value >= _bounds(term)[0]


def test_the_value_that_counts_as_one():
    assert _normaliser(first(ce())) == pytest.approx(math.log(10))
    assert _normaliser(first(bce())) == pytest.approx(math.log(2))
    assert _normaliser(first(ce(reduction="sum"))) is None
    assert _normaliser(first(functional.mse_loss(logits(), SOFT))) is None
