"""A batch counts by the denominator of its loss: the value over batches is that over all data at once."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.objective import weighting

WEIGHTS = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)


def real():
    """Inputs, and targets [N, 3, 2] with a mask; rows of few that count, an uneven last batch."""
    torch.manual_seed(0)
    t = torch.stack([torch.randn(10, 3), (torch.rand(10, 3) < 0.6).float()], -1).double()
    t[4:8, 1:, 1] = 0
    t[:, 0, 1] = 1
    return torch.randn(10, 4, dtype=torch.float64), t


def labels():
    x, _ = real()
    y = torch.tensor([0, 1, 2, 2, 1, -100, -100, 0, -100, 1])
    w = torch.tensor([0.1, 1, 1, 0.5, 8, 9, 7, 1, 1, 4])
    return x, torch.stack([y, 10 * w.long() + 1], -1)


def robust(f, y):
    """No loss that is known by name."""
    return torch.log(torch.cosh(f - y)).pow(1.3)


def many(f, t):
    return F.cross_entropy(f, t[:, 0], reduction="none"), t[:, 1].double()


MEANS = {
    "masked": (real, lambda f, t: ((f - t[..., 0]) ** 2 * t[..., 1]).sum() / t[..., 1].sum()),
    "masked, never by 0": (
        real,
        lambda f, t: (F.l1_loss(f, t[..., 0], reduction="none") * t[..., 1]).sum() / (t[..., 1].sum() + 1e-8),
    ),
    "a ratio of means": (real, lambda f, t: ((f - t[..., 0]) ** 2 * t[..., 1]).mean() / t[..., 1].mean()),
    "picked": (real, lambda f, t: F.mse_loss(f[t[..., 1] > 0], t[..., 0][t[..., 1] > 0])),
    "rows that count": (
        real,
        lambda f, t: (((f - t[..., 0]) ** 2).mean(-1) * t[:, 1, 1]).sum() / t[:, 1, 1].sum().clamp(min=1),
    ),
    "a sum over boxes": (
        real,
        lambda f, t: F.smooth_l1_loss(f, t[..., 0], reduction="sum") / t[..., 1].sum(),
    ),
    "masked, unknown": (real, lambda f, t: (robust(f, t[..., 0]) * t[..., 1]).sum() / t[..., 1].sum()),
    "picked, unknown": (real, lambda f, t: robust(f, t[..., 0])[t[..., 1] > 0].mean()),
    "mean, unknown": (real, lambda f, t: robust(f, t[..., 0]).mean()),
    "over rows, unknown": (real, lambda f, t: robust(f, t[..., 0]).sum() / len(f)),
    "weighted": (labels, lambda f, t: (many(f, t)[0] * many(f, t)[1]).sum() / many(f, t)[1].sum()),
    "weighted, as a product": (labels, lambda f, t: many(f, t)[0] @ many(f, t)[1] / many(f, t)[1].sum()),
    "ignored count as zeros": (labels, lambda f, t: many(f, t)[0].mean()),
    "ignored do not count": (labels, lambda f, t: many(f, t)[0].sum() / (t[:, 0] >= 0).sum()),
    "classes weighted in the mean of singles": (
        labels,
        lambda f, t: F.cross_entropy(f, t[:, 0], WEIGHTS, reduction="none").mean(),
    ),
    "classes weighted": (labels, lambda f, t: F.cross_entropy(f, t[:, 0], WEIGHTS)),
    "half": (real, lambda f, t: 0.5 * ((f - t[..., 0]) ** 2 * t[..., 1]).sum() / t[..., 1].sum()),
}
SUMS = {
    "sum": (real, lambda f, t: ((f - t[..., 0]) ** 2).sum()),
    "half a sum": (real, lambda f, t: 0.5 * ((f - t[..., 0]) ** 2).sum()),
    "masked sum": (real, lambda f, t: ((f - t[..., 0]) ** 2 * t[..., 1]).sum()),
    "sum, unknown": (real, lambda f, t: robust(f, t[..., 0]).sum()),
}


def objectives(data, loss, sizes):
    x, y = data()
    torch.manual_seed(1)
    model = nn.Linear(4, 3).double()
    split = list(zip(x.split(sizes), y.split(sizes), strict=True))
    return losscope.Objective(model, loss, split), float(loss(model(x), y).detach())


@pytest.mark.parametrize("sizes", [[4, 6], [3, 5, 2], [10]])
@pytest.mark.parametrize("name", MEANS)
def test_means_are_those_of_all_data(name, sizes):
    objective, whole = objectives(*MEANS[name], sizes)
    assert objective.value() == pytest.approx(whole, rel=1e-6)
    assert objective.scale == 1 and objective.as_given() is objective
    assert objective.weighing.by == "denominator"


@pytest.mark.parametrize("sizes", [[4, 6], [3, 5, 2], [10]])
@pytest.mark.parametrize("name", SUMS)
def test_sums_are_per_sample_and_as_given_they_sum(name, sizes):
    objective, whole = objectives(*SUMS[name], sizes)
    assert objective.value() == pytest.approx(whole / 10)
    assert objective.scale == pytest.approx(10 / len(sizes))
    assert objective.as_given().value() == pytest.approx(whole / len(sizes))
    assert objective.weighing.by == "sum"


def test_what_is_no_mean_counts_by_samples_and_says_so():
    objective, _ = objectives(real, lambda f, t: robust(f, t[..., 0]).mean().sqrt(), [3, 7])
    assert objective.coefficients == [0.3, 0.7] and objective.weighing.by == "samples"
    assert "2 batches, weighed by their samples" in repr(objective)
    summary = losscope.examine(objective, 10, only="value").summary
    assert "weighed by their samples" in summary("en") and "按样本数加权" in summary("zh")
    known, _ = objectives(*MEANS["masked"], [3, 7])
    assert "weighed by their denominators" in repr(known)
    assert "weighed" not in losscope.examine(known, 10, only="value").summary()


def test_a_batch_that_a_mask_leaves_out_does_not_count():
    x, t = real()
    t[:4, :, 1] = 0
    model = nn.Linear(4, 3).double()
    loss = MEANS["masked"][1]
    objective = losscope.Objective(model, loss, [(x[:4], t[:4]), (x[4:], t[4:])])
    assert objective.value() == pytest.approx(float(loss(model(x), t).detach()))
    assert objective.coefficients == [0, 1]


@pytest.mark.parametrize("form", ["padded", "concatenated"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sequences_padded_to_different_lengths(form, reduction):
    torch.manual_seed(0)
    x, lengths = torch.randn(6, 8, 4), torch.tensor([3, 2, 1, 2, 1, 2])
    letters = torch.randint(1, 5, (6, 3))
    model = nn.Linear(4, 5)

    def loss(f, t):
        frames = f.log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(frames, t[0], torch.full((len(f),), 8), t[1], reduction=reduction)

    def batch(chosen):
        own = lengths[chosen]
        padded = letters[chosen, : int(own.max())]
        if form == "concatenated":
            padded = torch.cat([row[:n] for row, n in zip(padded, own, strict=True)])
        return x[chosen], (padded, own)

    split = [batch(slice(0, 2)), batch(slice(2, 6))]
    objective = losscope.Objective(model, loss, split)
    expected = [1 / 3, 2 / 3] if reduction == "mean" else [1 / 6, 1 / 6]
    assert objective.coefficients == pytest.approx(expected)
    everything = batch(slice(0, 6))
    whole = float(loss(model(x), everything[1]).detach()) / (6 if reduction == "sum" else 1)
    assert objective.value() == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    "share", [lambda term, batch, seen: float(batch.samples), lambda term, batch, seen: 1.0]
)
def test_other_weights_are_rejected(share, monkeypatch):
    """The planted mutants: batches count by samples, or all the same."""
    monkeypatch.setattr(weighting, "_share", share)
    for name in ("masked", "weighted", "picked, unknown"):
        objective, whole = objectives(*MEANS[name], [4, 6])
        assert objective.value() != pytest.approx(whole, rel=1e-2)
