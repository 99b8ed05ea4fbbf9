"""The relative spread of a prediction between samples, against its closed forms."""

import pytest
import torch

from losscope.probes.spread import spread


def test_one_answer_for_all_samples_has_none_and_zero_mean_has_one():
    assert float(spread(torch.randn(1, 16).expand(64, 16))) == pytest.approx(0.0, abs=1e-3)
    assert float(spread(torch.randn(4000, 16))) == pytest.approx(1.0, abs=0.01)
    assert float(spread(torch.zeros(64, 16))) == 0.0


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_it_is_the_share_of_the_size_that_differs_at_any_scale(scale):
    torch.manual_seed(0)
    found = float(spread(scale * (3.0 + 4.0 * torch.randn(20_000, 8, dtype=torch.float64))))
    assert found == pytest.approx(0.8, abs=0.01)  # 4 / sqrt(3² + 4²)


def test_the_spread_over_all_elements_would_miss_a_constant_vector():
    constant = torch.arange(16.0).expand(64, 16)
    assert float(constant.std()) > 1 and float(spread(constant)) == 0.0
