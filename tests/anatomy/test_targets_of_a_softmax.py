"""What stands in the graph of a softmax whose targets, or whose axes, are not those of classes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from losscope.anatomy.read import read


def _notes(loss):
    return [note for term in read(loss).terms for note in term.notes]


@pytest.mark.parametrize(
    ("targets", "note"),
    [
        (lambda y: F.one_hot(y, 5).float(), None),
        (lambda y: 0.9 * F.one_hot(y, 5) + 0.02, None),
        (lambda y: F.one_hot(y, 5).float() * (y > 0)[:, None], None),
        (lambda y: torch.randn(64, 5).softmax(1), None),
        (lambda y: ((F.one_hot(y, 5) + F.one_hot(y.flip(0), 5)) > 0).float(), "several-classes"),
        (lambda y: 255.0 * F.one_hot(y, 5), "no-distribution"),
        (lambda y: torch.randn(64, 5), "no-distribution"),
    ],
)
def test_rows_that_are_distributions_and_rows_that_are_not(targets, note):
    torch.manual_seed(0)
    scores = nn.Linear(3, 5)(torch.randn(64, 3))
    told = targets(torch.randint(0, 5, (64,)))
    assert [n for n in _notes(F.cross_entropy(scores, told)) if "class" in n or "dist" in n] == (
        [note] if note else []
    )


def test_samples_that_are_taken_for_classes():
    scores = nn.Linear(3, 1)(torch.randn(64, 3)).squeeze(1)
    assert _notes(F.cross_entropy(scores, torch.randn(64))) == ["no-distribution"]


@pytest.mark.parametrize(
    ("scores", "mixed"),
    [
        (lambda z: z.view(-1, 5), True),
        (lambda z: z.flatten(2).reshape(-1, 5), True),
        (lambda z: z.permute(0, 2, 3, 1).reshape(-1, 5), False),
        (lambda z: z.permute(0, 2, 3, 1).flatten(0, 2), False),
        (lambda z: z.flatten(2).transpose(1, 2).reshape(-1, 5), False),
        (lambda z: z[:, :, :1, :1].reshape(-1, 5).repeat(36, 1), False),
    ],
)
def test_a_reshape_that_mixes_up_classes_and_pixels(scores, mixed):
    z = nn.Conv2d(3, 5, 3, padding=1)(torch.randn(4, 3, 6, 6))
    found = _notes(F.cross_entropy(scores(z), torch.randint(0, 5, (144,))))
    assert ("classes-mixed" in found) is mixed


@pytest.mark.parametrize(
    ("statistic", "noted"),
    [
        (lambda v: v.mean(0), True),
        (lambda v: v.var(0), True),
        (lambda v: v.sort(0).values, True),
        (lambda v: v.mean(), True),
        (lambda v: v.mean(1), False),
        (lambda v: v.sort(1).values, False),
        (lambda v: v, False),
    ],
)
def test_statistics_of_a_batch(statistic, noted):
    x, y = nn.Linear(3, 2)(torch.randn(64, 3)), torch.randn(64, 2)
    assert ("batch-statistic" in _notes(F.mse_loss(statistic(x), statistic(y)))) is noted
