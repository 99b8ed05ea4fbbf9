"""A cross-entropy whose classes are the samples of the batch: read as InfoNCE where its scores are cosines."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.anatomy.read import read
from losscope.losses.target_stats import TargetStats

N, TAU = 12, 0.2
PARTNERS = torch.arange(N)


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(7, 5)
    x = torch.randn(N, 7)
    return layer(x), layer(x + 0.1 * torch.randn(N, 7))


def terms(loss: Tensor) -> list[Term]:
    return [*read(loss).terms]


def cosines(views: tuple[Tensor, Tensor]) -> Tensor:
    return F.normalize(views[0], dim=1) @ F.normalize(views[1], dim=1).T


def test_chance_is_ln_n_and_the_floor_is_that_of_the_temperature(views: tuple[Tensor, Tensor]) -> None:
    loss = F.cross_entropy(cosines(views) / TAU, PARTNERS)
    (term,) = terms(loss)
    assert term.kind == "info_nce" and term.reduction == "mean"
    assert term.options["temperature"] == TAU
    chance = term.chance(TargetStats())
    assert chance is not None and chance.value == pytest.approx(math.log(N))
    assert term.floor == pytest.approx(math.log1p((N - 1) * math.exp(-N / ((N - 1) * TAU))))
    assert term.value == pytest.approx(loss.item())
    assert term.target is not None  # so that the share of partners that are found can be told


def test_both_directions_with_a_learned_scale(views: tuple[Tensor, Tensor]) -> None:
    """As CLIP writes it: the temperature of the next batch is not known."""
    scale = torch.tensor(2.0, requires_grad=True)
    scores = cosines(views) * scale.exp()
    found = terms((F.cross_entropy(scores, PARTNERS) + F.cross_entropy(scores.T, PARTNERS)) / 2)
    assert [term.kind for term in found] == ["info_nce", "info_nce"]
    assert [term.coefficient for term in found] == [0.5, 0.5]
    assert all("temperature" not in term.options and term.floor is None for term in found)


def test_half_precision(views: tuple[Tensor, Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(cosines(views) / TAU, PARTNERS)
    assert [term.kind for term in terms(loss)] == ["info_nce"]


def test_what_is_no_in_batch_cosine_stays_a_cross_entropy(views: tuple[Tensor, Tensor]) -> None:
    a, b = views
    scores = cosines(views) / TAU
    looks_alike = {
        "dot products": F.cross_entropy(a @ b.T, PARTNERS),
        "other targets": F.cross_entropy(scores, PARTNERS.roll(1)),
        "more keys than queries": F.cross_entropy(torch.cat([scores, scores[:, :1]], 1), PARTNERS),
        "a margin on the diagonal": F.cross_entropy(scores - torch.eye(N), PARTNERS),
        "a classifier that has as many classes": F.cross_entropy(torch.nn.Linear(5, N)(a), PARTNERS),
        "class weights": F.cross_entropy(scores, PARTNERS, weight=torch.linspace(1, 2, N)),
        "smoothed": F.cross_entropy(scores, PARTNERS, label_smoothing=0.1),
    }
    for what, loss in looks_alike.items():
        assert [term.kind for term in terms(loss)] == ["cross_entropy"], what
