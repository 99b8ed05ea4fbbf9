"""Statistics of the rules about data and labels, against their definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from losscope.rules.data_not_shuffled import homogeneity, shares


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_shares_are_those_of_all_pairs(seed):
    table = np.random.default_rng(seed).multinomial(4, [0.2, 0.3, 0.5], size=3)
    table[:, 0] += 1  # at least one pair of everything
    samples = [(b, k) for b in range(3) for k in range(3) for _ in range(table[b, k])]
    pairs = list(combinations(samples, 2))
    inside = [p[1] == q[1] for p, q in pairs if p[0] == q[0]]
    apart = [p[1] == q[1] for p, q in pairs if p[0] != q[0]]
    within, between = shares(table.astype(float))
    assert (within, between) == pytest.approx((np.mean(inside), np.mean(apart)))


def test_homogeneity_is_that_of_the_textbook():
    table = np.array([[10, 20, 30], [6, 9, 17], [8, 14, 2.0]])
    expected = chi2_contingency(table, correction=False)
    assert homogeneity(table) == pytest.approx((expected.statistic, expected.dof, expected.pvalue))


def test_batches_that_are_drawn_at_random_are_never_called_sorted():
    generator = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        classes, size, batches = (
            generator.integers(2, 11),
            generator.integers(4, 65),
            generator.integers(6, 40),
        )
        table = generator.multinomial(size, generator.dirichlet(np.ones(classes)), size=batches).astype(float)
        table = table[:, table.sum(0) > 0]
        within, between = shares(table)
        alarm = between < 1 and (within - between) / (1 - between) >= 0.25
        found.append(table.shape[1] > 1 and alarm and homogeneity(table)[2] < 1e-6)
    assert not any(found)
