"""Overlap losses against known answers, brute force in float64 and each other; nothing comes out of ignored pixels."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.segmentation import lovasz
from losscope.losses.segmentation.boundary import BoundaryLoss, boundary_loss, signed_distance
from losscope.losses.segmentation.combo import combo_loss
from losscope.losses.segmentation.dice import dice_loss
from losscope.losses.segmentation.focal_tversky import focal_tversky_loss
from losscope.losses.segmentation.generalised_dice import generalised_dice_loss
from losscope.losses.segmentation.iou import iou_loss
from losscope.losses.segmentation.lovasz_hinge import lovasz_hinge_loss
from losscope.losses.segmentation.lovasz_softmax import lovasz_softmax_loss
from losscope.losses.segmentation.multiclass_dice import multiclass_dice_loss
from losscope.losses.segmentation.tversky import tversky_loss

OnMasks = Callable[..., Tensor]
ON_MASKS: list[OnMasks] = [dice_loss, iou_loss, tversky_loss, focal_tversky_loss]
ON_CLASSES: list[OnMasks] = [multiclass_dice_loss, generalised_dice_loss, lovasz_softmax_loss, combo_loss]


def masks(seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    p = torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=g)
    return p, (torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=g) < 0.4).double()


def class_maps(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores, and targets in which every class occurs in every sample."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(3, 4, 3, 5, dtype=torch.float64, generator=g)
    return z, torch.stack([(torch.randperm(15, generator=g) % 4).reshape(3, 5) for _ in range(3)])


def gradient(loss: OnMasks, x: Tensor, t: Tensor, **options: object) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value = loss(x, t, **options)
    (grad,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), grad


# Two of three predicted pixels are right, one of three true ones is missed: Dice 2·2/6, IoU 2/4.
P = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
T = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        (dice_loss, {"smooth": 0.0}, 1 / 3),
        (dice_loss, {"smooth": 1.0}, 1 - 5 / 7),
        (dice_loss, {"smooth": 0.0, "squared": True}, 1 / 3),
        (iou_loss, {"smooth": 0.0}, 1 / 2),
        (iou_loss, {"smooth": 1.0}, 1 - 3 / 5),
        (tversky_loss, {"smooth": 0.0}, 1 - 2 / 3),
        (tversky_loss, {"smooth": 0.0, "alpha": 2.0, "beta": 1.0}, 1 - 2 / 5),
        (focal_tversky_loss, {"smooth": 0.0}, (1 / 3) ** 0.75),
    ],
)
def test_known_answers(loss: OnMasks, options: dict[str, float], expected: float) -> None:
    assert float(loss(P, T, **options)) == pytest.approx(expected, rel=1e-6)


def test_tversky_contains_dice_and_iou() -> None:
    p, t = masks()
    half = tversky_loss(p, t, alpha=0.5, beta=0.5, smooth=0.7, reduction="none")
    torch.testing.assert_close(half, dice_loss(p, t, smooth=1.4, reduction="none"))
    one = tversky_loss(p, t, alpha=1.0, beta=1.0, smooth=0.7, reduction="none")
    torch.testing.assert_close(one, iou_loss(p, t, smooth=0.7, reduction="none"))
    dice = dice_loss(p, t, smooth=0.0, reduction="none")
    torch.testing.assert_close(2 * dice / (1 + dice), iou_loss(p, t, smooth=0.0, reduction="none"))
    textbook = 1 - (2 * (p * t).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + t.sum((1, 2, 3)) + 1)
    torch.testing.assert_close(dice_loss(p, t, reduction="none"), textbook)


def test_a_dice_that_sums_over_the_batch_would_be_caught() -> None:
    """The planted mutant: one ratio for the whole batch."""
    p, t = masks()
    mutant = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    assert abs(float(mutant - dice_loss(p, t))) > 1e-3


@pytest.mark.parametrize("loss", ON_MASKS)
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_empty_masks_cost_nothing_and_have_a_gradient(loss: OnMasks, smooth: float) -> None:
    value, grad = gradient(loss, torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2), smooth=smooth)
    assert float(value) == 0.0
    assert torch.isfinite(grad).all()
    value, grad = gradient(loss, torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2), smooth=smooth)
    assert float(value) == 0.0
    assert torch.isfinite(grad).all()
    assert float(loss(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2), smooth=0.0)) == 1.0
    assert float(loss(torch.zeros(0, 1, 2, 2), torch.zeros(0, 1, 2, 2))) == 0.0


@pytest.mark.parametrize("loss", [*ON_MASKS, lovasz_hinge_loss])
def test_ignored_pixels_of_masks_are_as_if_they_were_not_there(loss: OnMasks) -> None:
    p, t = masks()
    hidden = torch.zeros(4, 4, dtype=torch.bool)
    hidden[:2] = True
    shown_value, shown_grad = gradient(loss, p[..., 2:, :], t[..., 2:, :])
    value, grad = gradient(loss, p.masked_fill(hidden, math.nan), t.masked_fill(hidden, -100))
    torch.testing.assert_close(value, shown_value)
    torch.testing.assert_close(grad[..., 2:, :], shown_grad)
    assert not grad[..., :2, :].any()
    value, grad = gradient(loss, torch.full_like(p, math.nan), torch.full_like(t, 255), ignore_index=255)
    assert float(value) == 0.0
    assert not grad.any()


@pytest.mark.parametrize("loss", ON_CLASSES)
def test_ignored_pixels_of_classes_are_as_if_they_were_not_there(loss: OnMasks) -> None:
    z, y = class_maps()
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[:, :2] = True
    shown_value, shown_grad = gradient(loss, z[..., 2:], y[..., 2:])
    value, grad = gradient(loss, z.masked_fill(hidden, math.nan), y.masked_fill(hidden, -100))
    torch.testing.assert_close(value, shown_value)
    torch.testing.assert_close(grad[..., 2:], shown_grad)
    assert not grad[..., :2].any()
    value, grad = gradient(loss, torch.full_like(z, math.nan), torch.full_like(y, -1), ignore_index=-1)
    assert float(value) == 0.0
    assert not grad.any()


@pytest.mark.parametrize("loss", ON_CLASSES)
def test_losses_of_classes_are_finite_at_large_scores_and_refuse_wrong_targets(loss: OnMasks) -> None:
    z, y = class_maps()
    for scores in (z.half().sign() * 1e4, torch.zeros_like(z)):
        value, grad = gradient(loss, scores, y)
        assert torch.isfinite(value)
        assert torch.isfinite(grad).all()
    right = 1e4 * F.one_hot(y, 4).movedim(-1, 1).half()
    assert float(loss(right, y)) == pytest.approx(0.0, abs=1e-6)
    assert float(loss(z[:0], y[:0])) == 0.0
    for wrong in (y + 1, y - 1):
        with pytest.raises((RuntimeError, IndexError)):
            loss(z, wrong)
    with pytest.raises(BadUsage):
        loss(z, y[:, None])
    with pytest.raises(BadUsage):
        loss(z, y.double())


@pytest.mark.parametrize("loss", [*ON_MASKS, lovasz_hinge_loss, boundary_loss])
def test_shapes_that_would_broadcast_are_refused(loss: OnMasks) -> None:
    with pytest.raises(BadUsage):
        loss(torch.zeros(2, 1, 4), torch.zeros(2, 4))


def test_focal_tversky_has_a_finite_gradient_that_grows_towards_the_optimum() -> None:
    t = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    slopes = []
    for miss in (1e-1, 1e-3, 1e-5, 1e-9, 0.0):
        _, grad = gradient(focal_tversky_loss, (t - miss).abs(), t, smooth=0.0)
        assert torch.isfinite(grad).all()
        slopes.append(float(grad.abs().max()))
    assert slopes[0] < slopes[1] < slopes[2]
    plain = tversky_loss((t - 0.1).abs(), t, smooth=0.0)
    torch.testing.assert_close(focal_tversky_loss((t - 0.1).abs(), t, smooth=0.0), plain**0.75)
    # The planted mutant: the bare power.
    x = t.clone().requires_grad_()
    (bare,) = torch.autograd.grad(tversky_loss(x, t, smooth=0.0) ** 0.75, x)
    assert not torch.isfinite(bare).all()


def test_multiclass_dice_is_the_mean_of_the_dice_of_each_class() -> None:
    z, y = class_maps()
    p, t = z.softmax(1), F.one_hot(y, 4).movedim(-1, 1).double()
    each = torch.stack([dice_loss(p[:, c], t[:, c], reduction="none") for c in range(4)], 1)
    torch.testing.assert_close(multiclass_dice_loss(z, y, reduction="none"), each.mean(1))
    y = y.clamp(max=2)  # class 3 is absent
    each = torch.stack([dice_loss(p[:, c], (y == c).double(), reduction="none") for c in range(3)], 1)
    present = multiclass_dice_loss(z, y, classes="present", reduction="none")
    torch.testing.assert_close(present, each.mean(1))


def test_generalised_dice_against_its_formula() -> None:
    z, y = class_maps()
    p, t = z.softmax(1).flatten(2), F.one_hot(y, 4).movedim(-1, 1).double().flatten(2)
    w = t.sum(2) ** -2
    expected = 1 - 2 * (w * (p * t).sum(2)).sum(1) / (w * (p + t).sum(2)).sum(1)
    torch.testing.assert_close(generalised_dice_loss(z, y, reduction="none"), expected)
    unweighted = 1 - 2 * (p * t).sum((1, 2)) / (p + t).sum((1, 2))  # the planted mutant
    assert (unweighted - expected).abs().max() > 1e-3


def test_generalised_dice_weighs_an_absent_class_as_the_rarest() -> None:
    z = torch.log(torch.tensor([[[0.6, 0.6, 0.6], [0.3, 0.3, 0.3], [0.1, 0.1, 0.1]]], dtype=torch.float64))
    y = torch.tensor([[0, 0, 1]])
    w = torch.tensor([1 / 4, 1.0, 1.0], dtype=torch.float64)
    agreed, total = torch.tensor([1.2, 0.3, 0.0]), torch.tensor([1.8 + 2, 0.9 + 1, 0.3])
    expected = 1 - 2 * (w * agreed).sum() / (w * total).sum()
    assert float(generalised_dice_loss(z, y)) == pytest.approx(float(expected), rel=1e-6)


def jaccard(wrong: list[int], foreground: list[int]) -> float:
    """1 - IoU of the mask that is right but for the pixels ``wrong``."""
    truth = {i for i, t in enumerate(foreground) if t}
    said = truth.symmetric_difference(wrong)
    return 1 - len(truth & said) / len(truth | said) if truth | said else 0.0


def extension(errors: list[float], foreground: list[int]) -> float:
    """The Lovász extension by its definition: for a submodular Δ the largest of Σ e_π(k) (Δ(k) - Δ(k-1)) over all π."""
    values = []
    for order in itertools.permutations(range(len(errors))):
        steps = [jaccard(list(order[:k]), foreground) for k in range(len(errors) + 1)]
        values.append(sum(errors[i] * (steps[k + 1] - steps[k]) for k, i in enumerate(order)))
    return max(values)


@pytest.mark.parametrize("foreground", [[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 1]])
def test_lovasz_extension_against_all_permutations(foreground: list[int]) -> None:
    for errors in ([0.3, 0.1, 0.9, 0.4, 0.2], [0.5, 0.5, 0.5, 0.2, 0.2], [1.0] * 5, [0.0] * 5):
        found = lovasz.lovasz_extension(
            torch.tensor(errors, dtype=torch.float64),
            torch.tensor(foreground).double(),
            torch.ones(5, dtype=torch.bool),
        )
        assert float(found) == pytest.approx(extension(errors, foreground), abs=1e-12)
    # The planted mutant: errors in rising order.
    errors = [0.3, 0.1, 0.9, 0.4, 0.2]
    steps = [jaccard(sorted(range(5), key=lambda i: errors[i])[:k], foreground) for k in range(6)]
    rising = sum(e * (steps[k + 1] - steps[k]) for k, e in enumerate(sorted(errors)))
    assert rising < extension(errors, foreground) - 1e-3 or foreground == [
        1,
        1,
        1,
        1,
        1,
    ]  # there Δ is additive


def test_lovasz_gradient_does_not_depend_on_the_order_of_equal_pixels() -> None:
    t = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    z = torch.zeros(1, 6, dtype=torch.float64)
    _, grad = gradient(lovasz_hinge_loss, z, t)
    shuffle = torch.tensor([4, 1, 5, 0, 3, 2])
    _, shuffled = gradient(lovasz_hinge_loss, z[:, shuffle], t[:, shuffle])
    torch.testing.assert_close(shuffled, grad[:, shuffle])
    assert len(grad[t == 1].unique()) == 1
    # A subgradient: the loss lies above the tangent in every direction.
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        step = torch.randn(1, 6, dtype=torch.float64, generator=g)
        above = lovasz_hinge_loss(z + step, t) - lovasz_hinge_loss(z, t) - (grad * step).sum()
        assert float(above) >= -1e-12


def test_lovasz_softmax_is_one_minus_iou_at_hard_predictions() -> None:
    z, y = class_maps()
    said = z.argmax(1)
    hard = 1e4 * F.one_hot(said, 4).movedim(-1, 1).double()
    for i in range(3):
        scores = [
            1 - float(((said[i] == c) & (y[i] == c)).sum()) / float(((said[i] == c) | (y[i] == c)).sum())
            for c in range(4)
            if (y[i] == c).any()
        ]
        found = lovasz_softmax_loss(hard[i : i + 1], y[i : i + 1])
        assert float(found) == pytest.approx(sum(scores) / len(scores), abs=1e-12)
    whole = lovasz_softmax_loss(hard, y, per_image=False, reduction="none")
    side_by_side = hard.transpose(0, 1).reshape(1, 4, -1)
    torch.testing.assert_close(whole, lovasz_softmax_loss(side_by_side, y.reshape(1, -1), reduction="none"))


def test_combo_is_one_part_each_for_equal_probabilities() -> None:
    z, y = class_maps()
    assert float(combo_loss(torch.zeros_like(z), y, dice_weight=0.0)) == pytest.approx(1.0, rel=1e-12)
    mix = combo_loss(z, y, dice_weight=0.3, base=2.0)
    parts = 0.7 * F.cross_entropy(z, y) / 2 + 0.3 * multiclass_dice_loss(z, y)
    torch.testing.assert_close(mix, parts)


def test_boundary_loss_and_its_distance() -> None:
    square = torch.zeros(2, 5, 5)
    square[0, 1:4, 1:4] = 1
    distance = signed_distance(square)
    assert distance[0, 2].tolist() == [1.0, 0.0, -1.0, 0.0, 1.0]
    assert float(distance[0, 0, 0]) == pytest.approx(math.sqrt(2))
    assert not distance[1].any()
    best = boundary_loss(square, distance, reduction="sum")
    assert float(best) == -1.0
    assert float(boundary_loss(1 - square, distance, reduction="sum")) > 0
    mask = torch.ones(2, 5, 5)
    mask[1] = 0
    p = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    p[1], distance[1] = math.nan, math.inf
    p.requires_grad_()
    value = BoundaryLoss()(p, distance, mask)
    value.backward()
    torch.testing.assert_close(value, (p[0] * distance[0]).mean())
    assert p.grad is not None
    torch.testing.assert_close(p.grad[0], distance[0] / 25)
    assert not p.grad[1].any()
    assert float(boundary_loss(p.detach(), distance, torch.zeros_like(mask))) == 0.0


@pytest.mark.parametrize("loss", ON_CLASSES)
def test_a_sample_that_is_ignored_altogether_does_not_count_in_the_mean(loss: OnMasks) -> None:
    z, y = class_maps()
    y[1] = -100
    torch.testing.assert_close(loss(z, y), loss(z[[0, 2]], y[[0, 2]]))
