"""Contrastive losses: values at collapse and chance, closed forms, independent references."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses import get
from losscope.losses.contrastive.alignment import alignment_loss
from losscope.losses.contrastive.arcface import arcface_loss
from losscope.losses.contrastive.barlow_twins import barlow_twins_loss
from losscope.losses.contrastive.batch_hard_triplet import batch_hard_triplet_loss
from losscope.losses.contrastive.circle import circle_loss
from losscope.losses.contrastive.clip import clip_loss
from losscope.losses.contrastive.contrastive_pair import contrastive_pair_loss
from losscope.losses.contrastive.cosface import cosface_loss
from losscope.losses.contrastive.info_nce import info_nce_loss
from losscope.losses.contrastive.multi_similarity import multi_similarity_loss
from losscope.losses.contrastive.nt_xent import nt_xent_loss
from losscope.losses.contrastive.pairs import norm, unit
from losscope.losses.contrastive.proxy_nca import proxy_nca_loss
from losscope.losses.contrastive.siglip import siglip_loss
from losscope.losses.contrastive.sup_con import sup_con_loss
from losscope.losses.contrastive.uniformity import uniformity_loss
from losscope.losses.contrastive.vicreg import vicreg_loss
from losscope.losses.target_stats import TargetStats

GROUPS = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(value: Tensor, expected: float | Tensor, rel: float = 1e-9) -> None:
    assert float(value) == pytest.approx(float(expected), rel=rel, abs=1e-12)


def rejects(mutant: Tensor, right: Tensor) -> None:
    """The planted wrong version is told apart by the comparison above."""
    assert abs(float(mutant) - float(right)) > 1e-3 * abs(float(right))


# Collapse: every embedding is the same point.

SAME = torch.ones(8, 3, dtype=torch.float64)
CENTRES = torch.ones(5, 3, dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
COLLAPSED = {
    "info_nce": (lambda: info_nce_loss(SAME, SAME), math.log(8)),
    "nt_xent": (lambda: nt_xent_loss(SAME, SAME), math.log(15)),
    "clip": (lambda: clip_loss(SAME, SAME), math.log(8)),
    "sup_con": (lambda: sup_con_loss(SAME, GROUPS), math.log(7)),
    "siglip": (lambda: siglip_loss(SAME, SAME), 8 * math.log(2)),
    "batch_hard": (lambda: batch_hard_triplet_loss(SAME, GROUPS, margin=0.3), 0.3),
    "batch_hard soft": (lambda: batch_hard_triplet_loss(SAME, GROUPS, soft=True), math.log(2)),
    "triplet": (lambda: F.triplet_margin_loss(SAME, SAME, SAME, margin=0.3), 0.3),
    "margin ranking": (
        lambda: F.margin_ranking_loss(SAME[:, 0], SAME[:, 0], SAME[:, 0], margin=0.4),
        0.4,
    ),
    "pair": (lambda: contrastive_pair_loss(SAME, SAME, (GROUPS > 0).double(), margin=2.0), 0.25 * 2.0),
    "arcface": (lambda: arcface_loss(SAME, CENTRES, CLASSES), math.log1p(4 * math.exp(64 * (1 - math.cos(0.5))))),
    "cosface": (lambda: cosface_loss(SAME, CENTRES, CLASSES), math.log1p(4 * math.exp(64 * 0.35))),
    "proxy_nca": (lambda: proxy_nca_loss(SAME, CENTRES, CLASSES), math.log(4)),
    "proxy_nca++": (lambda: proxy_nca_loss(SAME, CENTRES, CLASSES, include_own=True), math.log(5)),
    "barlow": (lambda: barlow_twins_loss(SAME, SAME), 3.0),
    "vicreg": (lambda: vicreg_loss(SAME, SAME), 25 * (1 - 0.01)),
    "alignment": (lambda: alignment_loss(SAME, SAME), 0.0),
    "uniformity": (lambda: uniformity_loss(SAME), 0.0),
    "circle": (lambda: circle_loss(SAME[:4], torch.tensor([0, 0, 1, 1]), scale=64.0), 64 * 0.875 + math.log(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", COLLAPSED)
def test_value_at_collapse(name: str) -> None:
    loss, expected = COLLAPSED[name]
    close(loss(), expected, rel=1e-6)


@pytest.mark.parametrize("name", ["info_nce", "clip", "nt_xent", "sup_con"])
def test_chance_of_the_contract_is_the_value_at_collapse(name: str) -> None:
    chance = get(name).chance
    assert chance is not None
    estimate = chance(TargetStats(), {"candidates": 8})
    assert estimate is not None
    assert estimate.value == pytest.approx(COLLAPSED[name][1], rel=1e-9)
    assert chance(TargetStats(), {}) is None


def test_info_nce_is_the_cross_entropy_of_cosines() -> None:
    a, b = normal(6, 4), normal(6, 4, seed=1)
    logits = F.normalize(a) @ F.normalize(b).T / 0.2
    expected = F.cross_entropy(logits, torch.arange(6))
    close(info_nce_loss(a, b, temperature=0.2), expected)
    both = (expected + F.cross_entropy(logits.T, torch.arange(6))) / 2
    close(clip_loss(a, b, temperature=0.2), both)
    rejects(F.cross_entropy(a @ b.T / 0.2, torch.arange(6)), expected)  # not normalised
    rejects(expected, both)  # one direction only


@pytest.mark.parametrize("n", [2, 4, 9])
def test_no_batch_of_n_is_below_the_simplex(n: int) -> None:
    corners = torch.eye(n, dtype=torch.float64) - 1 / n
    floor = get("info_nce").floor
    assert floor is not None
    expected = floor({"candidates": n, "temperature": 0.3}, None)
    assert expected is not None
    close(info_nce_loss(corners, corners, temperature=0.3), expected)
    for seed in range(20):
        a = normal(n, 12, seed=seed)
        assert float(info_nce_loss(a, a, temperature=0.3)) >= expected - 1e-12


def test_nt_xent_leaves_out_oneself() -> None:
    a, b = normal(5, 4), normal(5, 4, seed=1)
    z = F.normalize(torch.cat([a, b]))
    total = 0.0
    for i in range(10):
        s = z @ z[i] / 0.5
        others = [float(s[j].exp()) for j in range(10) if j != i]
        total -= math.log(float(s[(i + 5) % 10].exp()) / sum(others))
    close(nt_xent_loss(a, b), total / 10)
    close(sup_con_loss(torch.cat([a, b]), torch.arange(5).repeat(2), temperature=0.5), total / 10)
    with_oneself = F.cross_entropy(z @ z.T / 0.5, torch.arange(10).roll(5))
    rejects(with_oneself, nt_xent_loss(a, b))


def test_sup_con_is_the_out_form_and_its_floor_is_ln_k() -> None:
    z = normal(8, 4)
    unit_z = F.normalize(z)
    out, inside = [], []
    for i in range(8):
        mates = [j for j in range(8) if j != i and GROUPS[j] == GROUPS[i]]
        if not mates:
            continue
        s = (unit_z @ unit_z[i] / 0.1).exp()
        rest = sum(s[j] for j in range(8) if j != i)
        out.append(sum(-torch.log(s[j] / rest) for j in mates) / len(mates))
        inside.append(-torch.log(sum(s[j] / rest for j in mates) / len(mates)))
    right = sup_con_loss(z, GROUPS)
    close(right, sum(out) / len(out))
    rejects(sum(inside) / len(inside), right)  # the "in" form
    rejects(sup_con_loss(z, GROUPS, reduction="none").mean(), right)  # singletons counted
    apart = torch.eye(2, dtype=torch.float64).repeat_interleave(4, 0)
    close(sup_con_loss(apart, torch.arange(2).repeat_interleave(4), temperature=0.01), math.log(3), rel=1e-6)


def test_siglip_is_a_binary_cross_entropy_of_all_pairs() -> None:
    a, b = normal(5, 3), normal(5, 3, seed=1)
    logits = 10 * F.normalize(a) @ F.normalize(b).T - 10
    right = F.binary_cross_entropy_with_logits(logits, torch.eye(5, dtype=torch.float64), reduction="sum") / 5
    close(siglip_loss(a, b), right)
    rejects(right / 5, siglip_loss(a, b))  # a mean over pairs instead of images
    n = 64
    chance = get("siglip").chance
    assert chance is not None
    known = chance(TargetStats(), {"candidates": n})
    assert known is not None
    same = torch.ones(n, 2, dtype=torch.float64)
    best = min(float(siglip_loss(same, same, scale=0.0, bias=b)) for b in np.linspace(-5, -3, 401))
    assert known.value == pytest.approx(best, rel=1e-5)


def test_batch_hard_picks_the_hardest_and_survives_their_absence() -> None:
    z = normal(8, 4)
    d = torch.cdist(z, z)
    losses = []
    for i in range(8):
        mates = [d[i, j] for j in range(8) if j != i and GROUPS[j] == GROUPS[i]]
        strangers = [d[i, j] for j in range(8) if GROUPS[j] != GROUPS[i]]
        if mates and strangers:
            losses.append((max(mates) - min(strangers) + 0.2).clamp(min=0))
    right = batch_hard_triplet_loss(z, GROUPS)
    close(right, torch.stack(losses).mean())
    rejects(torch.stack(losses).sum() / 8, right)  # anchors without partners counted
    for groups in (torch.zeros(4, dtype=torch.long), torch.arange(4)):
        leaf = normal(4, 3).requires_grad_()
        value = batch_hard_triplet_loss(leaf, groups)
        value.backward()
        assert float(value.detach()) == 0.0
        assert leaf.grad is not None and bool((leaf.grad == 0).all())


def test_circle_and_multi_similarity_by_loops() -> None:
    z = F.normalize(normal(8, 4))
    s = z @ z.T
    circle, multi = [], []
    for i in range(8):
        p = torch.stack(
            [s[i, j] for j in range(8) if j != i and GROUPS[j] == GROUPS[i]] or [torch.tensor(math.nan)]
        )
        n = torch.stack([s[i, j] for j in range(8) if GROUPS[j] != GROUPS[i]])
        near = 0.0 if p.isnan().any() else (-2 * (p - 0.5)).exp().sum()
        multi.append(math.log1p(float(near)) / 2 + torch.log1p((50 * (n - 0.5)).exp().sum()) / 50)
        if not p.isnan().any():
            push = (16 * (n + 0.25).relu() * (n - 0.25)).exp().sum()
            pull = (-16 * (1.25 - p).relu() * (p - 0.75)).exp().sum()
            circle.append(torch.log1p(push * pull))
    close(circle_loss(z, GROUPS, scale=16.0), torch.stack(circle).mean())
    close(multi_similarity_loss(z, GROUPS), torch.stack(multi).mean())
    rejects(circle_loss(z, GROUPS, scale=16.0, margin=0.3), torch.stack(circle).mean())


def test_circle_gradient_holds_its_weights_constant() -> None:
    """∂L/∂s = σ(total)·softmax·γα, without the term from α."""
    z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], dtype=torch.float64).requires_grad_()
    groups = torch.tensor([0, 0, 1])
    circle_loss(z, groups, scale=4.0, reduction="none")[0].backward()
    u = z.detach().clone().requires_grad_()
    s = F.normalize(u) @ F.normalize(u).T
    fixed = s.detach()
    exponent = 4 * (fixed[0, 2] + 0.25) * (s[0, 2] - 0.25) - 4 * (1.25 - fixed[0, 1]) * (s[0, 1] - 0.75)
    F.softplus(exponent).backward()
    assert z.grad is not None and u.grad is not None
    assert torch.allclose(z.grad, u.grad)


def test_arcface_turns_the_angle_and_its_gradient_is_bounded() -> None:
    x, w, y = normal(6, 4), normal(5, 4, seed=1), torch.tensor([0, 1, 2, 3, 4, 0])
    cos = F.normalize(x) @ F.normalize(w).T
    logits = cos.clone()
    logits[range(6), y] = (cos[range(6), y].acos() + 0.5).cos()
    assert bool((cos[range(6), y].acos() + 0.5 < math.pi).all())
    right = F.cross_entropy(16 * logits, y)
    close(arcface_loss(x, w, y, scale=16.0), right)
    rejects(F.cross_entropy(16 * cos, y), right)
    close(cosface_loss(x, w, y, scale=16.0), F.cross_entropy(16 * (cos - 0.35 * F.one_hot(y, 5).double()), y))
    for sign in (1.0, -1.0):  # exactly at the centre, and exactly opposite: acos has an infinite slope there
        at = (sign * w[y]).float().requires_grad_()
        arcface_loss(at, w.float(), y).backward()
        assert at.grad is not None and bool(at.grad.isfinite().all()) and float(at.grad.abs().max()) < 1e3
        naive = torch.tensor(sign, requires_grad=True)
        (naive.acos() + 0.5).cos().backward()
        assert naive.grad is not None and not bool(naive.grad.isfinite())


@pytest.mark.parametrize("loss", [arcface_loss, cosface_loss, proxy_nca_loss])
@pytest.mark.parametrize("label", [-1, 5, -100])
def test_a_class_out_of_range_raises(loss, label: int) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        loss(normal(1, 3), normal(5, 3), torch.tensor([label]))


def test_proxy_nca_infimum_and_reference() -> None:
    x, p, y = normal(6, 4), normal(5, 4, seed=1), torch.tensor([0, 1, 2, 3, 4, 0])
    d = torch.cdist(F.normalize(x), F.normalize(p)).square()
    own = d[range(6), y]
    rest = torch.stack([torch.cat([d[i, : y[i]], d[i, y[i] + 1 :]]).neg().exp().sum() for i in range(6)])
    close(proxy_nca_loss(x, p, y), (own + rest.log()).mean())
    close(proxy_nca_loss(x, p, y, include_own=True), F.cross_entropy(-d, y))
    rejects(F.cross_entropy(-d, y), proxy_nca_loss(x, p, y))
    line = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    close(proxy_nca_loss(line, line, torch.tensor([0, 1])), -4.0)


def test_barlow_twins_and_vicreg_by_numpy() -> None:
    a, b = normal(12, 4), normal(12, 4, seed=1)
    c = np.corrcoef(a.numpy().T, b.numpy().T)[:4, 4:]
    off = c - np.diag(np.diag(c))
    right = ((1 - np.diag(c)) ** 2).sum() + 0.1 * (off**2).sum()
    close(barlow_twins_loss(a, b, off_diagonal=0.1, epsilon=0.0), right)
    rejects(torch.tensor(((1 - np.diag(c)) ** 2).sum() + 0.1 * (c**2).sum()), torch.tensor(right))
    value = 25 * ((a - b) ** 2).mean().item()
    for view in (a.numpy(), b.numpy()):
        cov = np.cov(view.T)
        value += 12.5 * np.maximum(0, 1 - np.sqrt(np.diag(cov) + 1e-4)).mean()
        value += ((cov - np.diag(np.diag(cov))) ** 2).sum() / 4
    close(vicreg_loss(a, b), value)


def test_rounding_errors_of_a_constant_column_are_not_correlation() -> None:
    column = torch.full((3, 1), 0.1)  # its float32 mean is not 0.1
    assert float(barlow_twins_loss(column, column)) == pytest.approx(1.0, abs=1e-6)


def test_uniformity_and_alignment_by_their_definition() -> None:
    z, w = normal(7, 3), normal(7, 3, seed=1)
    close(uniformity_loss(z), torch.pdist(F.normalize(z)).square().mul(-2).exp().mean().log())
    close(alignment_loss(z, w, alpha=1.0), (F.normalize(z) - F.normalize(w)).norm(dim=1).mean())
    rejects(
        torch.cdist(F.normalize(z), F.normalize(z)).square().mul(-2).exp().mean().log(), uniformity_loss(z)
    )


def test_lengths_and_directions_are_safe_at_zero() -> None:
    zero = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(norm(zero).sum() + unit(zero).sum(), zero, create_graph=True)
    assert bool(first.isfinite().all())
    (second,) = torch.autograd.grad(norm(zero).square().sum(), zero, create_graph=True)
    assert bool(second.isfinite().all())
    huge = torch.tensor([[3e30, 4e30]])
    assert unit(huge).tolist()[0] == pytest.approx([0.6, 0.8])
    assert unit(1e-30 * torch.tensor([[3.0, 4.0]])).tolist()[0] == pytest.approx([0.6, 0.8])


def test_shapes_are_refused() -> None:
    with pytest.raises(BadUsage, match="same shape"):
        info_nce_loss(normal(4, 3), normal(5, 3))
    with pytest.raises(BadUsage, match="one label per embedding"):
        sup_con_loss(normal(4, 3), GROUPS)
    with pytest.raises(BadUsage, match="same dimension"):
        arcface_loss(normal(4, 3), normal(5, 2), GROUPS[:4])
