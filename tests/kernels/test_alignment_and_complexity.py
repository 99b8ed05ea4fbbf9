"""Alignments and minimal norms against their definitions."""

import math

import pytest
import torch

from losscope.core.errors import BadUsage
from losscope.kernels.comparison.alignment import alignment, target_alignment
from losscope.kernels.comparison.complexity import complexity
from losscope.kernels.functions.arc_cosine import ReLUNTK
from losscope.kernels.functions.polynomial import Linear
from losscope.kernels.functions.rbf import RBF
from losscope.kernels.machines.machine import kernel_machine


@pytest.fixture
def x():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_alignment_by_its_definition(x):
    a, b = RBF(1.0)(x), Linear(1.0, 1.0)(x)
    h = torch.eye(12).double() - 1 / 12
    ca, cb = h @ a @ h, h @ b @ h
    assert alignment(a, b) == pytest.approx(float((ca * cb).sum() / ca.norm() / cb.norm()))
    assert alignment(a, b, centred=False) == pytest.approx(float((a * b).sum() / a.norm() / b.norm()))
    assert alignment(a, 3 * a) == pytest.approx(1.0)
    assert alignment(a, 3 * a + 2) == pytest.approx(1.0) != alignment(a, 3 * a + 2, centred=False)


def test_target_alignment(x):
    y = x[:, 0]
    gram = Linear()(x)
    assert target_alignment(gram, y) == pytest.approx(alignment(gram, torch.outer(y, y)))
    classes = (y > 0).long() + (y > 1).long()
    same = (classes[:, None] == classes[None]).double()
    assert target_alignment(gram, classes) == pytest.approx(alignment(gram, same))
    assert target_alignment(gram, classes + 5) == pytest.approx(alignment(gram, same))


def test_complexity_is_the_limit_of_machines(x):
    """yᵀ K⁻¹ y = lim min{mean square + λ‖f‖²} / λ, as λ goes to 0."""
    y = x[:, 0].sin()
    found = complexity(ReLUNTK(1), x, y)
    gram = ReLUNTK(1)(x)
    assert found.squared == pytest.approx(float(y @ torch.linalg.solve(gram, y)), rel=1e-9)
    assert found.rank == 12 and found.outside == 0
    assert found.bound == pytest.approx(math.sqrt(2 * found.squared / 12))
    assert kernel_machine(gram, None, y, 1e-12).value / 1e-12 == pytest.approx(found.squared, rel=1e-6)
    assert complexity(gram, None, torch.stack([y, y], 1)).squared == pytest.approx(2 * found.squared)


def test_random_labels_are_more_complex(x):
    x = torch.nn.functional.normalize(
        x.repeat(4, 1) + 0.3 * torch.randn(48, 3, generator=torch.Generator().manual_seed(1))
    )
    y = x[:, 0].sign()
    shuffled = y[torch.randperm(48, generator=torch.Generator().manual_seed(2))]
    assert complexity(ReLUNTK(1), x, shuffled).bound > 2 * complexity(ReLUNTK(1), x, y).bound


def test_what_is_outside_of_the_space(x):
    """Of a linear kernel in 3 dimensions: only linear functions are inside."""
    inside = complexity(Linear(), x, x @ torch.tensor([1.0, -2.0, 0.5]).double())
    assert inside.squared == pytest.approx(1 + 4 + 0.25) and inside.rank == 3 and math.isfinite(inside.bound)
    partly = complexity(Linear(), x, x[:, 0].square())
    assert 0.1 < partly.outside <= 1 and partly.bound == math.inf


def test_bad_input_is_one_line(x):
    for call, says in (
        (lambda: alignment(torch.eye(3), torch.eye(4)), "3 and 4"),
        (lambda: alignment(torch.ones(3, 3), torch.eye(3)), "constant"),
        (lambda: complexity(RBF(1.0), x, torch.zeros(3)), "different sizes"),
        (lambda: complexity(RBF(1.0), x, torch.full((12,), float("nan"))), "12 of them"),
    ):
        with pytest.raises(BadUsage, match=says):
            call()
