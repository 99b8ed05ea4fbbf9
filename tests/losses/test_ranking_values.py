"""Ranking and distillation losses: likelihoods, ties, padding, NDCG, chance levels, independent references."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import ndcg_score
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses import get
from losscope.losses.distillation.cosine_hint import cosine_hint_loss
from losscope.losses.distillation.decoupled_distillation import decoupled_distillation_loss
from losscope.losses.distillation.knowledge_distillation import knowledge_distillation_loss
from losscope.losses.distillation.relational_distillation import relational_distillation_loss
from losscope.losses.ranking.approx_ndcg import approx_ndcg_loss
from losscope.losses.ranking.hinge import hinge_loss
from losscope.losses.ranking.lambda_rank import lambda_rank_loss
from losscope.losses.ranking.list_mle import list_mle_loss
from losscope.losses.ranking.list_net import list_net_loss
from losscope.losses.ranking.squared_hinge import squared_hinge_loss
from losscope.losses.target_stats import TargetStats


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(value: Tensor, expected: float | Tensor, rel: float = 1e-9) -> None:
    assert float(value) == pytest.approx(float(expected), rel=rel, abs=1e-12)


def rejects(mutant: Tensor, right: Tensor) -> None:
    """The planted wrong version is told apart by the comparison above."""
    assert abs(float(mutant) - float(right)) > 1e-3 * abs(float(right))


def test_list_mle_is_the_plackett_luce_likelihood() -> None:
    s = normal(1, 5)
    order = [3, 0, 4, 1, 2]
    relevance = torch.zeros(1, 5, dtype=torch.float64)
    for place, document in enumerate(order):
        relevance[0, document] = 5 - place
    p, left = 1.0, s[0].exp()
    for k, document in enumerate(order):
        p *= float(left[document] / sum(left[d] for d in order[k:]))
    close(list_mle_loss(s, relevance), -math.log(p))
    total = 0.0
    for chosen in permutations(range(4)):  # a likelihood: over all orders it sums to 1
        rel = torch.tensor([[4.0 - chosen.index(d) for d in range(4)]], dtype=torch.float64)
        total += math.exp(-float(list_mle_loss(s[:, :4], rel)))
    assert total == pytest.approx(1.0, rel=1e-12)


def test_ties_in_relevance_have_no_order() -> None:
    s = normal(1, 6)
    relevance = torch.tensor([[2.0, 2.0, 1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    turned = torch.tensor([1, 0, 3, 2, 5, 4])

    def by_sorting(s: Tensor, r: Tensor) -> Tensor:
        z = s.gather(1, r.argsort(dim=1, descending=True, stable=True))
        return (z.flip(1).logcumsumexp(1).flip(1) - z).sum()

    for loss in (list_mle_loss, list_net_loss, approx_ndcg_loss, lambda_rank_loss):
        close(loss(s[:, turned], relevance[:, turned]), loss(s, relevance))
    rejects(by_sorting(s[:, turned], relevance[:, turned]), by_sorting(s, relevance))  # the mutant
    close(list_mle_loss(torch.zeros(1, 6), torch.zeros(1, 6)), 6 * math.log(6), rel=1e-6)


@pytest.mark.parametrize("loss", [list_net_loss, list_mle_loss, lambda_rank_loss, approx_ndcg_loss])
def test_padding_does_not_count(loss) -> None:
    s, r = normal(3, 4), torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64).expand(3, 4)
    padded = F.pad(s, (0, 2), value=math.nan).requires_grad_()
    mask = F.pad(torch.ones(3, 4), (0, 2))
    value = loss(padded, F.pad(r, (0, 2), value=9.0), mask)
    close(value.detach(), loss(s, r))
    value.backward()
    assert padded.grad is not None and bool(padded.grad.isfinite().all())
    nothing = loss(s, r, torch.zeros(3, 4))
    assert float(nothing) == 0.0


def test_list_net_floor_is_the_entropy_of_the_relevances() -> None:
    r = torch.randint(4, (7, 5), generator=torch.Generator().manual_seed(0)).double()
    stats = TargetStats()
    stats.update(r.numpy(), {"target": "real"})
    floor = get("list_net").floor
    assert floor is not None
    assert floor({}, stats) == pytest.approx(float(list_net_loss(r, r)), rel=1e-12)


def test_approx_ndcg_becomes_ndcg() -> None:
    s, r = normal(4, 6), torch.randint(4, (4, 6), generator=torch.Generator().manual_seed(1)).double()
    exact = ndcg_score((2**r - 1).numpy(), s.numpy())
    close(approx_ndcg_loss(s, r, temperature=1e-4), 1 - exact)
    rejects(approx_ndcg_loss(s, torch.log2(r + 1), temperature=1e-4), torch.tensor(1 - exact))  # linear gains
    assert float(approx_ndcg_loss(s, torch.zeros(4, 6))) == 0.0
    for seed in range(50):  # soft ranks never beat the best order
        assert float(approx_ndcg_loss(normal(1, 6, seed=seed), r[:1], temperature=1.0)) >= 0


def test_lambda_rank_weights_are_changes_of_ndcg() -> None:
    s = normal(1, 5)
    r = torch.tensor([[0.0, 3.0, 1.0, 1.0, 2.0]], dtype=torch.float64)

    def ndcg(scores: Tensor) -> float:
        return float(ndcg_score((2**r - 1).numpy(), scores.numpy()))

    total = 0.0
    for i in range(5):
        for j in range(5):
            if r[0, i] > r[0, j]:
                swapped = s.clone()
                swapped[0, i], swapped[0, j] = s[0, j], s[0, i]
                total += abs(ndcg(swapped) - ndcg(s)) * math.log1p(math.exp(float(s[0, j] - s[0, i])))
    close(lambda_rank_loss(s, r), total)
    start = torch.zeros(1, 5, requires_grad=True)
    lambda_rank_loss(start, r.float()).backward()
    assert start.grad is not None and bool((start.grad != 0).any())  # tied ranks would have no gradient


@pytest.mark.parametrize(("name", "loss"), [("hinge", hinge_loss), ("squared_hinge", squared_hinge_loss)])
@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_chance_of_hinges_is_the_best_constant_score(name: str, loss, margin: float) -> None:
    y = torch.tensor([1.0] * 7 + [-1.0] * 3, dtype=torch.float64)
    stats = TargetStats()
    stats.update(y.numpy(), {"target": "real"})
    chance = get(name).chance
    assert chance is not None
    found = chance(stats, {"margin": margin})
    assert found is not None
    best = min(float(loss(torch.full_like(y, c), y, margin=margin)) for c in np.linspace(-2, 2, 401))
    assert found.value == pytest.approx(best, rel=1e-9)


# Distillation


def test_distillation_gradient_does_not_fade_with_temperature() -> None:
    z, v = normal(4, 6), normal(4, 6, seed=1)
    p, q = (z / 3).softmax(1), (v / 3).softmax(1)
    right = 9 * (q * (q / p).log()).sum(1).mean()
    close(knowledge_distillation_loss(z, v, temperature=3.0), right)
    rejects(right / 9, right)  # without T²
    rejects(F.kl_div(p.log(), q, reduction="sum") * 9 / p.numel(), right)  # divided by the classes as well
    centred = (z - z.mean(1, keepdim=True)) - (v - v.mean(1, keepdim=True))
    hot = knowledge_distillation_loss(z, v, temperature=1e4)
    close(hot, centred.square().sum(1).mean() / (2 * 6), rel=1e-3)


def test_distillation_chance_is_the_best_constant() -> None:
    v = 3 * normal(30, 4)
    stats = TargetStats()
    stats.update(v.numpy(), {"target": "real"})
    chance = get("knowledge_distillation").chance
    assert chance is not None
    found = chance(stats, {"temperature": 2.0})
    assert found is not None
    best = 2 * (v / 2).softmax(1).mean(0).log()
    close(knowledge_distillation_loss(best.expand(30, 4), v, temperature=2.0), found.value)
    assert found.value < float(knowledge_distillation_loss(torch.zeros(30, 4).double(), v, temperature=2.0))


def test_decoupled_distillation_is_hintons_with_the_teachers_weights() -> None:
    """KL = TCKD + (1 - q_y) NCKD, for every sample."""
    z, v, y = normal(5, 6), normal(5, 6, seed=1), torch.tensor([0, 1, 2, 3, 5])
    both = [
        decoupled_distillation_loss(z, v, y, alpha=a, beta=1 - a, temperature=2.0, reduction="none")
        for a in (1.0, 0.0)
    ]
    sure = (v / 2).softmax(1)[range(5), y]
    hinton = knowledge_distillation_loss(z, v, temperature=2.0, reduction="none")
    assert torch.allclose(both[0] + (1 - sure) * both[1], hinton)
    assert not torch.allclose(both[0] + both[1], hinton)


def test_hints_and_relations_ignore_scale() -> None:
    s, t = normal(6, 3), normal(6, 3, seed=1)
    close(cosine_hint_loss(s, t), 1 - F.cosine_similarity(s, t).mean())
    turn = torch.linalg.qr(normal(3, 3, seed=2)).Q
    assert float(relational_distillation_loss(5 * t @ turn, t)) < 1e-20
    a, b = torch.pdist(s), torch.pdist(t)
    right = F.huber_loss(a / a.mean(), b / b.mean())
    close(relational_distillation_loss(s, t), right)
    rejects(F.huber_loss(a, b), right)


def test_scores_must_be_lists() -> None:
    with pytest.raises(BadUsage, match="lists"):
        list_net_loss(normal(4), normal(4))
