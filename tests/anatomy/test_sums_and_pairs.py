"""Sums over accumulated batches, losses in pairs, and means over nothing."""

import pytest
import torch
import torch.nn.functional as F

from losscope.anatomy.nonfinite import nonfinite_origin
from losscope.anatomy.read import read
from losscope.losses.target_stats import TargetStats


def _classes(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(4, 5)
    return layer(torch.randn(n, 4, generator=generator)), torch.randint(5, (n,), generator=generator)


def test_a_sum_over_the_count_of_all_micro_batches_is_a_share_of_a_mean():
    logits, target = _classes()
    (term,) = read(F.cross_entropy(logits, target, reduction="sum") / torch.tensor(16)).terms
    assert (term.reduction, term.coefficient) == ("mean", pytest.approx(0.5))
    assert term.value == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)
    (kept,) = read(F.cross_entropy(logits, target, reduction="sum")).terms
    assert kept.reduction == "sum"


def test_mixup_is_one_loss_with_the_weighted_mean_of_both():
    logits, target = _classes()
    other = target.roll(1)
    loss = 0.3 * F.cross_entropy(logits, target) + 0.7 * F.cross_entropy(logits, other)
    (term,) = read(loss).terms
    assert term.coefficient == pytest.approx(1.0)
    assert term.value == pytest.approx(loss.item(), rel=1e-5)


def test_two_heads_stay_two_terms():
    logits, target = _classes()
    more, _ = _classes()
    assert len(read(0.3 * F.cross_entropy(logits, target) + 0.7 * F.cross_entropy(more, target)).terms) == 2


def test_a_discriminator_on_real_and_fake_has_the_chance_level_of_a_coin():
    real, fake = torch.nn.Linear(4, 1)(torch.randn(8, 4)), torch.nn.Linear(4, 1)(torch.randn(8, 4))
    bce = F.binary_cross_entropy_with_logits
    loss = 0.5 * (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake)))
    (term,) = read(loss).terms
    stats = TargetStats()
    term.observe(stats)
    chance = term.chance(stats)
    assert chance is not None
    assert chance.value == pytest.approx(0.693147, rel=1e-5)
    assert term.value == pytest.approx(loss.item(), rel=1e-5)


def test_a_mean_over_an_empty_selection_says_so():
    logits, target = _classes()
    none = torch.zeros(8, dtype=torch.bool)
    origin = nonfinite_origin(F.cross_entropy(logits[none], target[none]))
    assert origin is not None
    assert "empty selection" in origin.text
    ignored = nonfinite_origin(F.cross_entropy(logits, torch.full_like(target, -100)))
    assert ignored is not None
    assert "ignore_index=-100" in ignored.text
