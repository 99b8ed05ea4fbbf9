"""Focal and box losses against closed forms, float64 references and their published values."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.detection.box_iou import box_iou_loss
from losscope.losses.detection.ciou import ciou_loss
from losscope.losses.detection.detection_sum import DetectionSum, detection_sum_loss
from losscope.losses.detection.diou import diou_loss
from losscope.losses.detection.focal import SPEC as FOCAL
from losscope.losses.detection.focal import FocalLoss, focal_loss
from losscope.losses.detection.giou import giou_loss
from losscope.losses.detection.quality_focal import quality_focal_loss
from losscope.losses.detection.sigmoid_focal import SPEC as SIGMOID_FOCAL
from losscope.losses.detection.sigmoid_focal import sigmoid_focal_loss
from losscope.losses.target_stats import TargetStats

BoxLoss = Callable[..., Tensor]
BOX_LOSSES: list[BoxLoss] = [box_iou_loss, giou_loss, diou_loss, ciou_loss]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient(
    loss: Callable[..., Tensor], x: Tensor, *rest: Tensor, **options: object
) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value = loss(x, *rest, **options)
    (grad,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), grad


# focal losses


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_against_its_formula(gamma: float) -> None:
    z, y = normal(8, 5), torch.arange(8) % 5
    p = z.softmax(1).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(focal_loss(z, y, gamma=gamma), (-((1 - p) ** gamma) * p.log()).mean())
    if gamma == 0:
        w = torch.arange(1.0, 6.0, dtype=torch.float64)
        torch.testing.assert_close(focal_loss(z, y, gamma=0.0, weight=w), F.cross_entropy(z, y, weight=w))
    maps = normal(2, 5, 3, 4), torch.arange(24).reshape(2, 3, 4) % 5
    flat = maps[0].movedim(1, -1).reshape(-1, 5), maps[1].reshape(-1)
    torch.testing.assert_close(focal_loss(*maps, gamma=gamma), focal_loss(*flat, gamma=gamma))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_binary_focal_against_its_formula_and_two_classes(gamma: float) -> None:
    x, t = normal(6, 3), (normal(6, 3, seed=1) > 0).double()
    p = x.sigmoid()
    pt, at = p * t + (1 - p) * (1 - t), 0.3 * t + 0.7 * (1 - t)
    expected = (-at * (1 - pt) ** gamma * pt.log()).mean()
    torch.testing.assert_close(sigmoid_focal_loss(x, t, alpha=0.3, gamma=gamma), expected)
    two = torch.stack([torch.zeros_like(x), x], -1).reshape(-1, 2)
    plain = sigmoid_focal_loss(x, t, alpha=None, gamma=gamma)
    torch.testing.assert_close(plain, focal_loss(two, t.long().reshape(-1), gamma=gamma))
    soft = torch.full_like(t, 0.25)
    mix = 0.25 * sigmoid_focal_loss(x, torch.ones_like(t)) + 0.75 * sigmoid_focal_loss(x, torch.zeros_like(t))
    torch.testing.assert_close(sigmoid_focal_loss(x, soft), mix)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("gamma", [0.5, 0.9, 2.0])
def test_focal_losses_are_finite_at_large_scores(dtype: torch.dtype, gamma: float) -> None:
    x = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 30.0]], dtype=dtype)
    for t in (torch.ones_like(x), torch.zeros_like(x)):
        value, grad = gradient(sigmoid_focal_loss, x, t, gamma=gamma, reduction="none")
        assert torch.isfinite(value).all()
        assert torch.isfinite(grad).all()
    for y in itertools.product(range(3), repeat=2):
        value, grad = gradient(focal_loss, x, torch.tensor(y), gamma=gamma, reduction="none")
        assert torch.isfinite(value).all()
        assert torch.isfinite(grad).all()
    torch.testing.assert_close(focal_loss(x[:1], torch.tensor([1])), torch.tensor(2e4), rtol=1e-2, atol=0)


def test_a_focal_loss_from_probabilities_would_be_caught() -> None:
    """The planted mutant: torchvision's formula in float16, and a power below 1 of 1 - p."""
    x, t = torch.tensor([20.0], dtype=torch.float16), torch.ones(1, dtype=torch.float16)

    def by_power(x: Tensor, t: Tensor) -> Tensor:
        p, ce = x.sigmoid(), F.binary_cross_entropy_with_logits(x, t, reduction="none")
        return ce * (1 - (p * t + (1 - p) * (1 - t))) ** 0.5

    _, grad = gradient(by_power, x, t)
    assert not torch.isfinite(grad).all()
    _, grad = gradient(sigmoid_focal_loss, x, t, gamma=0.5)
    assert torch.isfinite(grad).all()


def test_focal_with_ignored_targets() -> None:
    z, y = normal(4, 3), torch.tensor([0, -100, 2, -100])
    z[1] = math.nan
    value, grad = gradient(focal_loss, z, y)
    kept_value, kept_grad = gradient(focal_loss, z[[0, 2]], y[[0, 2]])
    torch.testing.assert_close(value, kept_value)
    torch.testing.assert_close(grad[[0, 2]], kept_grad)
    assert not grad[[1, 3]].any()
    value, grad = gradient(FocalLoss(weight=torch.ones(3)), z, torch.full_like(y, -100))
    assert float(value) == 0.0
    assert not grad.any()
    assert float(focal_loss(torch.zeros(2, 1), torch.zeros(2).long())) == 0.0
    for wrong in (3, -1):
        with pytest.raises((RuntimeError, IndexError)):
            focal_loss(z, torch.full((4,), wrong))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_closed_forms_of_the_focal_loss(gamma: float) -> None:
    z, y = normal(5, 4), torch.arange(5) % 4
    assert FOCAL.gradient is not None
    assert FOCAL.logit_hessian is not None
    _, grad = gradient(focal_loss, z, y, gamma=gamma, reduction="sum")
    torch.testing.assert_close(FOCAL.gradient(z, y, {"gamma": gamma}), grad)
    for i in range(5):
        hessian = torch.autograd.functional.hessian(
            lambda v, i=i: focal_loss(v[None], y[i : i + 1], gamma=gamma), z[i]
        )
        found = FOCAL.logit_hessian(z[i : i + 1], y[i : i + 1], {"gamma": gamma})[0]
        torch.testing.assert_close(found, hessian)
    x, t = normal(5, 3), (normal(5, 3, seed=2) > 0).double()
    _, grad = gradient(sigmoid_focal_loss, x, t, gamma=gamma, reduction="sum")
    assert SIGMOID_FOCAL.gradient is not None
    torch.testing.assert_close(SIGMOID_FOCAL.gradient(x, t, {"gamma": gamma}), grad)


def minimise(loss: Callable[[Tensor], Tensor], size: int) -> float:
    x = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([x], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(x)
        value.backward()
        return value

    optimiser.step(closure)
    return float(closure().detach())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_chance_of_focal_losses_is_the_loss_of_the_best_constant(gamma: float) -> None:
    assert FOCAL.chance is not None
    assert SIGMOID_FOCAL.chance is not None
    y = torch.tensor([0] * 60 + [1] * 30 + [2] * 9 + [3])
    stats = TargetStats()
    stats.update(y.numpy())
    estimate = FOCAL.chance(stats, {"gamma": gamma})
    reached = minimise(lambda z: focal_loss(z.expand(100, 4), y, gamma=gamma), 4)
    assert estimate is not None
    assert estimate.value == pytest.approx(reached, rel=1e-6)
    if gamma == 0:
        f = np.array([0.6, 0.3, 0.09, 0.01])
        assert estimate.value == pytest.approx(float(-(f * np.log(f)).sum()), rel=1e-6)
    t = (normal(200, 2) > torch.tensor([0.0, 1.5])).double()
    stats = TargetStats()
    stats.update(t.numpy(), {"target": "binary"})
    estimate = SIGMOID_FOCAL.chance(stats, {"gamma": gamma})
    reached = minimise(lambda x: sigmoid_focal_loss(x.expand(200, 2), t, gamma=gamma), 2)
    assert estimate is not None
    assert estimate.value == pytest.approx(reached, rel=1e-6)
    assert estimate.stderr > 0


def test_focal_minimiser_is_flatter_than_the_class_probabilities() -> None:
    """Two classes of probabilities 0.9 and 0.1, γ = 2: the minimiser keeps the order, and is less sure."""
    y = torch.tensor([0] * 9 + [1])
    values = torch.linspace(0.5, 0.99, 4901, dtype=torch.float64)
    losses = [float(focal_loss(torch.tensor([v, 1 - v]).log().expand(10, 2), y)) for v in values[::10]]
    best = float(values[::10][int(np.argmin(losses))])
    assert 0.6 < best < 0.85


def test_quality_focal() -> None:
    x, t = normal(4, 3), (normal(4, 3, seed=1) > 0).double()
    torch.testing.assert_close(quality_focal_loss(x, t), sigmoid_focal_loss(x, t, alpha=None))
    assert float(quality_focal_loss(x, x.sigmoid())) == 0.0
    value, grad = gradient(
        quality_focal_loss, torch.tensor([1e4, -1e4]).half(), torch.tensor([0.0, 0.3]).half()
    )
    assert torch.isfinite(value)
    assert torch.isfinite(grad).all()


# boxes


def boxes(seed: int, n: int = 50) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, dtype=torch.float64, generator=g)
    return torch.cat([corner, corner + 0.05 + torch.rand(n, 2, dtype=torch.float64, generator=g)], 1)


def reference(a: list[float], b: list[float]) -> dict[str, float]:
    """The formulas of the papers, one pair at a time."""
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    iou = inner / (area_a + area_b - inner)
    wide, tall = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    rho = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    diou = 1 - iou + rho / (wide**2 + tall**2)
    angle = math.atan((b[2] - b[0]) / (b[3] - b[1])) - math.atan((a[2] - a[0]) / (a[3] - a[1]))
    v = 4 / math.pi**2 * angle**2
    return {
        "box_iou_loss": 1 - iou,
        "giou_loss": 1 - iou + (wide * tall - (area_a + area_b - inner)) / (wide * tall),
        "diou_loss": diou,
        "ciou_loss": diou + v * v / (1 - iou + v),
    }


@pytest.mark.parametrize("loss", BOX_LOSSES)
def test_box_losses_against_the_formulas(loss: BoxLoss) -> None:
    a, b = boxes(0), boxes(1)
    expected = [reference(x, y)[loss.__name__] for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    found = loss(a, b, reduction="none")
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(loss(a, b), found.mean())
    torch.testing.assert_close(loss(b, a), found.mean())
    scaled = loss(1e3 * a.float(), 1e3 * b.float())
    torch.testing.assert_close(scaled, found.mean().float())


@pytest.mark.parametrize("loss", BOX_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_equal_boxes_cost_nothing_and_degenerate_ones_are_finite(loss: BoxLoss, dtype: torch.dtype) -> None:
    a = torch.cat([boxes(0), 1e-12 * boxes(1), 1e4 * boxes(2), torch.zeros(1, 4)]).to(dtype)
    value, grad = gradient(loss, a, a, reduction="none")
    assert not value.any()
    assert torch.isfinite(grad).all()
    corners = [0.0, 1.0, 2.0]
    odd = torch.tensor(list(itertools.product(corners, repeat=4)), dtype=dtype)  # points, lines, inside out
    first, second = (x.reshape(-1, 4) for x in torch.broadcast_tensors(odd[:, None], odd[None]))
    value, grad = gradient(loss, first.contiguous(), second, reduction="none")
    assert torch.isfinite(value).all()
    assert torch.isfinite(grad).all()
    assert float(value.min()) >= 0.0
    assert float(value.max()) <= {"box_iou_loss": 1.0, "ciou_loss": 2.5}.get(loss.__name__, 2.0)
    assert float(loss(a[:0], a[:0])) == 0.0
    with pytest.raises(BadUsage):
        loss(a, a[:1])


def test_only_the_plain_iou_loss_has_no_gradient_for_boxes_that_do_not_meet() -> None:
    a, b = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[3.0, 3.0, 4.0, 5.0]])
    assert not gradient(box_iou_loss, a, b)[1].any()
    for loss in (giou_loss, diou_loss, ciou_loss):
        assert gradient(loss, a, b)[1].abs().max() > 1e-3


def test_the_weight_of_the_aspect_term_carries_no_gradient() -> None:
    """And the planted mutant, in which it does, has another gradient."""
    a, b = boxes(0, 5), boxes(1, 5)

    def attached(a: Tensor, b: Tensor) -> Tensor:
        wide = (b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1]), (a[:, 2] - a[:, 0]) / (a[:, 3] - a[:, 1])
        v = 4 / math.pi**2 * (wide[0].atan() - wide[1].atan()) ** 2
        return (diou_loss(a, b, reduction="none") + v * v / (box_iou_loss(a, b, reduction="none") + v)).mean()

    value, grad = gradient(ciou_loss, a, b)
    wrong_value, wrong = gradient(attached, a, b)
    torch.testing.assert_close(value, wrong_value)
    assert (grad - wrong).abs().max() > 1e-3


def test_detection_sum_divides_by_the_positives() -> None:
    z, a, b = normal(6, 3), boxes(0, 6), boxes(1, 6)
    labels = torch.zeros(6, 3, dtype=torch.float64)
    labels[1, 2] = labels[4, 0] = 1
    b[0], a[2] = math.nan, math.inf  # background: their boxes do not matter
    options = {"box_weight": 2.0, "class_base": 0.5, "box_base": 4.0}
    value, grad = gradient(lambda a: detection_sum_loss(z, a, labels, b, **options), a)
    classes = sigmoid_focal_loss(z, labels, reduction="sum")
    expected = (classes / 0.5 + 2 * giou_loss(a[[1, 4]], b[[1, 4]], reduction="sum") / 4) / 2
    torch.testing.assert_close(value, expected)
    assert torch.isfinite(grad).all()
    assert set(grad.abs().sum(1).nonzero().flatten().tolist()) == {1, 4}
    each = detection_sum_loss(z, a, labels, b, **options, reduction="none")
    torch.testing.assert_close(each.sum() / 2, value)
    nothing = DetectionSum()(z, a, torch.zeros_like(labels), b)
    torch.testing.assert_close(nothing, sigmoid_focal_loss(z, torch.zeros_like(labels), reduction="sum"))
    assert float(detection_sum_loss(z[:0], a[:0], labels[:0], b[:0])) == 0.0
    assert abs(float(each.mean() - value)) > 1e-3  # the planted mutant: the mean over anchors
