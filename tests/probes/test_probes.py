"""Known answers of the probes, with plausible wrong versions that these tests reject."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "watching"))
from memory_watch import watching

from losscope.losses.contrastive.info_nce import info_nce_loss
from losscope.probes import thinning
from losscope.recording import signals as s


def train(model, loss, optimizer, updates):
    for _ in range(updates):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


def test_sgd_moves_by_learning_rate_times_gradient():
    torch.manual_seed(0)
    x = torch.randn(32, 5)
    with watching() as record:
        model = nn.Linear(5, 4)
        train(model, lambda m: m(x).pow(2).mean(), torch.optim.SGD(model.parameters(), lr=0.03), 10)
    for name in ("weight", "bias"):
        gradients, moves = (
            record.values(s.GRADIENT_NORM_PARAMETER, name),
            record.values(s.UPDATE_NORM_PARAMETER, name),
        )
        assert moves == pytest.approx([0.03 * g for g in gradients], rel=1e-4)
    sizes = [record.values(s.PARAMETER_NORM, name) for name in ("weight", "bias")]
    total = [(w**2 + b**2) ** 0.5 for w, b in zip(*sizes, strict=True)]
    norms = record.values(s.GRADIENT_NORM)
    expected = [0.03 * g / t for g, t in zip(norms, total, strict=True)]
    assert record.values(s.UPDATE_RATIO) == pytest.approx(expected, rel=1e-4)
    per_parameter = [record.values(s.GRADIENT_NORM_PARAMETER, name) for name in ("weight", "bias")]
    wrong = [0.03 * sum(pair) / t for pair, t in zip(zip(*per_parameter, strict=True), total, strict=True)]
    assert record.values(s.UPDATE_RATIO) != pytest.approx(wrong, rel=1e-4)  # norms do not add up


@pytest.mark.parametrize(("rate", "sign"), [(0.5, 1.0), (1.9, -1.0)])
def test_alignment_on_a_quadratic_is_the_sign_of_one_minus_rate_times_curvature(rate, sign):
    with watching() as record:
        model = nn.Linear(3, 1, bias=False)
        loss = lambda m: 0.5 * m.weight.square().sum()  # noqa: E731  curvature 1: g' = (1 - rate) g
        train(model, loss, torch.optim.SGD(model.parameters(), lr=rate), 12)
    values = record.values(s.ALIGNMENT)
    assert values == pytest.approx([sign] * len(values), abs=1e-6) and len(values) >= 3


def test_large_tensors_are_represented_by_an_even_part():
    torch.manual_seed(0)
    with watching() as record:
        model = nn.Linear(1000, 500)
        x = torch.randn(16, 1000)
        train(model, lambda m: m(x).pow(2).mean(), torch.optim.SGD(model.parameters(), lr=0.01), 4)
    gradients, moves = (
        record.values(k, "weight") for k in (s.GRADIENT_NORM_PARAMETER, s.UPDATE_NORM_PARAMETER)
    )
    assert moves == pytest.approx([0.01 * g for g in gradients], rel=0.02)
    assert thinning.part(model.weight).numel() <= thinning.LIMIT


@pytest.mark.parametrize("shape", [(3,), (70000,), (256, 300), (2, 0), ()])
def test_a_part_is_a_copy_and_bounded(shape):
    tensor = torch.ones(shape)
    part = thinning.part(tensor)
    part.zero_()
    assert tensor.sum() == tensor.numel() and part.numel() <= thinning.LIMIT
    assert part.numel() >= min(tensor.numel(), thinning.LIMIT // 2)


def test_predictions_targets_accuracy_and_ignored_targets():
    logits = nn.Parameter(torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 4.0]]))
    target = torch.tensor([0, 1, 1, -100])
    with watching() as record:
        optimizer = torch.optim.SGD([logits], lr=0.0)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits * 1.0, target).backward()
        optimizer.step()
    assert record.values(s.ACCURACY, "0/0") == pytest.approx([2 / 3])
    assert record.values(s.BATCH_SIZE, "0/0") == [4.0]
    assert record.values(s.TARGET_MAX, "0/0") == [1.0]


def test_regression_statistics_and_chance():
    torch.manual_seed(0)
    x, y = torch.randn(200, 3), 5 + 2 * torch.randn(200, 1)
    with watching() as record:
        model = nn.Linear(3, 1)
        train(
            model, lambda m: nn.functional.mse_loss(m(x), y), torch.optim.SGD(model.parameters(), lr=0.01), 3
        )
    assert record.values(s.TARGET_MEAN, "0/0")[0] == pytest.approx(y.mean().item(), rel=1e-5)
    assert record.values(s.TARGET_STD, "0/0")[0] == pytest.approx(y.std(correction=0).item(), rel=1e-5)
    assert record.values(s.TERM_CHANCE, "0/0")[0] == pytest.approx(y.var(correction=0).item(), rel=1e-5)


def _pairs(m, x):
    return -nn.functional.logsigmoid(m(x[:100]) - m(x[100:])).mean()


def _candidates(m, x):
    return info_nce_loss(*m(x).chunk(2))


@pytest.mark.parametrize(
    ("loss", "columns", "chance"),
    [
        pytest.param(_pairs, 1, math.log(2), id="pairs"),
        pytest.param(_candidates, 5, math.log(100), id="candidates"),
        pytest.param(lambda m, x: nn.functional.softplus(m(x)).mean(), 1, None, id="a player of a game"),
    ],
)
def test_chance_of_a_term_without_targets_follows_from_its_options(loss, columns, chance):
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    with watching() as record:
        model = nn.Linear(3, columns)
        train(model, lambda m: loss(m, x), torch.optim.SGD(model.parameters(), lr=0.01), 3)
    found = record.values(s.TERM_CHANCE, "0/0")
    assert found[:1] == ([] if chance is None else [pytest.approx(chance)])


def test_parameters_that_are_not_trained_are_told_apart():
    torch.manual_seed(0)
    x = torch.randn(8, 4)
    with watching() as record:
        used, unused, frozen, forgotten = (nn.Linear(4, 4) for _ in range(4))
        frozen.requires_grad_(False)
        held = [*used.parameters(), *unused.parameters(), *frozen.parameters()]
        optimizer = torch.optim.SGD(held, lr=0.1)
        optimizer.zero_grad()
        forgotten(frozen(used(x))).pow(2).mean().backward()
        optimizer.step()
    event = record.of("reach")[-1]
    counts = {key: len(event[key]) for key in ("held", "held_not_reached", "reached_not_held", "frozen")}
    assert counts == {"held": 6, "held_not_reached": 2, "reached_not_held": 2, "frozen": 2}
