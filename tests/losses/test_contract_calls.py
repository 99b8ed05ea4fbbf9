"""Contracts are called as people would: with targets at hand, without options that they do not need."""

import math

import numpy as np
import pytest
import torch

from losscope.losses.catalogue import get
from losscope.losses.target_stats import TargetStats


def chance(name: str, *given: object) -> float:
    rule = get(name).chance
    assert rule is not None
    found = rule(*given)
    assert found is not None
    return found.value


def test_a_chance_level_takes_targets_or_their_statistics() -> None:
    labels = torch.arange(1000) % 10
    stats = TargetStats()
    stats.update(labels.numpy())
    assert chance("cross_entropy", stats) == chance("cross_entropy", labels) == pytest.approx(math.log(10))
    assert chance("cross_entropy", labels.numpy(), {"num_classes": 10}) == pytest.approx(math.log(10))
    rare = (torch.arange(1000) % 10 == 0).float()
    assert chance("binary_cross_entropy_with_logits", rare) == pytest.approx(0.325083, abs=1e-4)
    targets = np.arange(5.0)
    assert chance("mse", targets) == pytest.approx(2.0)
    assert chance("l1", torch.as_tensor(targets)) == pytest.approx(1.2)


def test_a_floor_takes_options_alone_or_nothing() -> None:
    floor = get("cross_entropy").floor
    assert floor is not None
    assert floor({"num_classes": 10, "label_smoothing": 0.1}) == pytest.approx(0.5002880, abs=5e-8)
    assert get("mse").floor() == 0.0  # type: ignore[misc]


def test_the_softmax_hessian_needs_no_target() -> None:
    z = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p, hessian = z.softmax(1), get("cross_entropy").logit_hessian
    assert hessian is not None
    assert torch.allclose(hessian(z), torch.diag_embed(p) - p[:, :, None] * p[:, None, :], atol=1e-12)
    assert float(torch.linalg.eigvalsh(hessian(z)).max()) <= 0.5
    gradient = get("cross_entropy").gradient
    assert gradient is not None
    y = torch.tensor([0, 1, 2, 3])
    assert torch.allclose(gradient(z, y), p - torch.nn.functional.one_hot(y, 7))
