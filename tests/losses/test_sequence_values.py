"""Sequence losses against sums over all alignments in float64; what is padded reaches nothing."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.penalty.l1_penalty import l1_penalty
from losscope.losses.penalty.l2_penalty import L2Penalty, l2_penalty
from losscope.losses.penalty.norm_penalty import norm_penalty
from losscope.losses.sequence.token_cross_entropy import SPEC as TOKENS
from losscope.losses.sequence.token_cross_entropy import TokenCrossEntropyLoss, token_cross_entropy_loss
from losscope.losses.sequence.transducer import TransducerLoss, transducer_loss
from losscope.losses.sequence.z_loss import z_loss
from losscope.losses.target_stats import TargetStats


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# CTC, as PyTorch has it


def ctc_by_paths(log_p: Tensor, labels: list[int]) -> float:
    """-ln Σ over all paths of frames [T, C] that spell the labels."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        merged = [k for k, _ in itertools.groupby(path) if k != 0]
        if merged == labels:
            total += math.exp(sum(float(log_p[t, k]) for t, k in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1]])
def test_ctc_is_the_sum_over_all_alignments(labels: list[int]) -> None:
    log_p = normal(5, 1, 3).log_softmax(2)
    lengths = torch.tensor([5]), torch.tensor([len(labels)])
    found = F.ctc_loss(log_p, torch.tensor([labels]), *lengths, reduction="none")
    assert float(found) == pytest.approx(ctc_by_paths(log_p[:, 0], labels), rel=1e-12)
    mean = F.ctc_loss(log_p, torch.tensor([labels]), *lengths)
    assert float(mean) == pytest.approx(float(found) / len(labels), rel=1e-12)


def test_ctc_of_an_impossible_target() -> None:
    log_p = normal(3, 1, 3).log_softmax(2).requires_grad_()
    case = (
        torch.tensor([[2, 2]]),
        torch.tensor([2]),
        torch.tensor([2]),
    )  # 2 2 needs a blank between: three frames
    assert math.isinf(ctc_by_paths(log_p[:2, 0], [2, 2]))
    assert torch.isinf(F.ctc_loss(log_p, *case))
    forgiven = F.ctc_loss(log_p, *case, zero_infinity=True)
    (grad,) = torch.autograd.grad(forgiven, log_p)
    assert float(forgiven.detach()) == 0.0
    assert not grad.any()


def test_the_gradient_of_ctc_is_that_of_the_scores() -> None:
    """Right below a log-softmax, and not the slope along the log-probabilities themselves."""
    z = normal(4, 1, 3)
    case = torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2])

    def of_scores(z: Tensor) -> Tensor:
        return F.ctc_loss(z.log_softmax(2), *case)

    def of_log_probabilities(v: Tensor) -> Tensor:
        return F.ctc_loss(v, *case)

    assert torch.autograd.gradcheck(of_scores, z.clone().requires_grad_())
    bare = z.log_softmax(2).requires_grad_()
    assert not torch.autograd.gradcheck(of_log_probabilities, bare, raise_exception=False)


# transducer


def transducer_by_paths(log_p: Tensor, labels: list[int]) -> float:
    """-ln Σ over all orders of T blanks and the labels that end with a blank; ``log_p`` is [T, S + 1, C]."""
    frames, total = log_p.shape[0], 0.0
    steps = frames - 1 + len(labels)
    for spots in itertools.combinations(range(steps), len(labels)):
        t, u, log = 0, 0, 0.0
        for step in range(steps):
            if step in spots:
                log += float(log_p[t, u, labels[u]])
                u += 1
            else:
                log += float(log_p[t, u, 0])
                t += 1
        total += math.exp(log + float(log_p[t, u, 0]))
    return -math.log(total)


@pytest.mark.parametrize(
    ("frames", "labels"), [(1, []), (4, []), (1, [2, 1]), (2, [1]), (4, [1, 2, 2]), (5, [2, 1])]
)
def test_transducer_is_the_sum_over_all_alignments(frames: int, labels: list[int]) -> None:
    z = normal(1, frames, len(labels) + 1, 3)
    said = torch.tensor(labels, dtype=torch.long)[None]
    found = transducer_loss(z, said, torch.tensor([frames]), torch.tensor([len(labels)]))
    assert float(found) == pytest.approx(transducer_by_paths(z[0].log_softmax(-1), labels), rel=1e-12)


def test_a_transducer_without_the_last_blank_would_be_caught() -> None:
    """The planted mutant: the probability of reaching the last point, without leaving it."""
    z, labels = normal(1, 3, 3, 3), [1, 2]
    log_p = z[0].log_softmax(-1)
    right = transducer_by_paths(log_p, labels)
    found = transducer_loss(z, torch.tensor([labels]), torch.tensor([3]), torch.tensor([2]))
    mutant = right + float(log_p[-1, -1, 0])
    assert float(found) == pytest.approx(right, rel=1e-12)
    assert abs(mutant - right) > 0.1


def test_what_is_behind_the_lengths_reaches_nothing() -> None:
    z = normal(2, 5, 4, 3)
    labels = torch.tensor([[1, 2, 1], [2, 1, 99]])
    frames, said = torch.tensor([5, 3]), torch.tensor([3, 2])
    z[1, 3:], z[1, :, 3:] = math.nan, math.inf
    z.requires_grad_()
    each = transducer_loss(z, labels, frames, said, reduction="none")
    alone = transducer_by_paths(z.detach()[1, :3, :3].log_softmax(-1), [2, 1])
    assert float(each[1].detach()) == pytest.approx(alone, rel=1e-12)
    value = TransducerLoss()(z, labels, frames, said)
    (grad,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(value, each.mean())
    assert torch.isfinite(grad).all()
    assert not grad[1, 3:].any()
    assert not grad[1, :, 3:].any()
    torch.testing.assert_close(grad.sum(-1), torch.zeros(2, 5, 4, dtype=torch.float64))  # a softmax is below


def test_transducer_at_large_scores_and_wrong_inputs() -> None:
    z = (1e4 * normal(2, 6, 3, 4)).clamp(-6e4, 6e4).half().requires_grad_()
    labels, frames, said = torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 4]), torch.tensor([2, 1])
    value = transducer_loss(z, labels, frames, said)
    (grad,) = torch.autograd.grad(value, z)
    assert torch.isfinite(value)
    assert torch.isfinite(grad).all()
    assert float(transducer_loss(z[:0], labels[:0], frames[:0], said[:0]).detach()) == 0.0
    for wrong in ((labels + 2, frames, said), (labels - 3, frames, said), (labels, frames + 1, said)):
        with pytest.raises((RuntimeError, IndexError)):
            transducer_loss(z, *wrong)
    for wrong in ((labels, frames, said + 1), (labels, frames * 0, said)):
        with pytest.raises((RuntimeError, IndexError)):
            transducer_loss(z, *wrong)
    with pytest.raises(BadUsage):
        transducer_loss(z, labels[:, :1], frames, said)


# language models


def test_the_two_means_of_token_cross_entropy() -> None:
    z, y = normal(3, 4, 5), torch.tensor([[0, 1, 2, 3], [4, -100, -100, -100], [-100, -100, -100, -100]])
    each = F.cross_entropy(z.reshape(-1, 5), y.reshape(-1), reduction="none").reshape(3, 4)
    torch.testing.assert_close(token_cross_entropy_loss(z, y), each.sum() / 5)
    by_sequence = token_cross_entropy_loss(z, y, per="sequence")
    torch.testing.assert_close(by_sequence, (each[0].mean() + each[1, 0]) / 2)
    torch.testing.assert_close(token_cross_entropy_loss(z, y, reduction="none"), each)
    mean_of_means = (token_cross_entropy_loss(z[:1], y[:1]) + token_cross_entropy_loss(z[1:], y[1:])) / 2
    assert abs(float(mean_of_means - token_cross_entropy_loss(z, y))) > 1e-3


def test_shifted_labels() -> None:
    z, y = normal(2, 6, 5), torch.arange(12).reshape(2, 6) % 5
    expected = F.cross_entropy(z[:, :-1].reshape(-1, 5), y[:, 1:].reshape(-1))
    torch.testing.assert_close(token_cross_entropy_loss(z, y, shift=True), expected)
    perfect = 1e4 * F.one_hot(y.roll(-1, 1), 5).double()
    assert float(token_cross_entropy_loss(perfect, y, shift=True)) == pytest.approx(0.0, abs=1e-12)
    assert float(token_cross_entropy_loss(perfect, y)) > 1e3  # the planted mutant: the shift forgotten


@pytest.mark.parametrize("per", ["token", "sequence"])
def test_ignored_tokens_reach_nothing(per: str) -> None:
    z, y = normal(2, 3, 4), torch.tensor([[0, -100, 2], [-100, -100, -100]])
    z[y == -100] = math.nan
    z.requires_grad_()
    value = token_cross_entropy_loss(z, y, per=per)
    (grad,) = torch.autograd.grad(value, z)
    assert torch.isfinite(value)
    assert torch.isfinite(grad).all()
    assert not grad[y == -100].any()
    nothing = TokenCrossEntropyLoss(per=per)(z, torch.full_like(y, -100))
    (grad,) = torch.autograd.grad(nothing, z)
    assert float(nothing.detach()) == 0.0
    assert not grad.any()
    for wrong in (4, -1):
        with pytest.raises((RuntimeError, IndexError)):
            token_cross_entropy_loss(z, torch.full_like(y, wrong), per=per)
    with pytest.raises(BadUsage):
        token_cross_entropy_loss(z, y, per="batch")


def test_chance_of_tokens_is_the_entropy_of_their_frequencies() -> None:
    y = torch.tensor([[0] * 6 + [1] * 3 + [2]] * 50)
    stats = TargetStats()
    stats.update(y.numpy())
    assert TOKENS.chance is not None
    estimate = TOKENS.chance(stats, {"num_classes": 3})
    f = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    constant = token_cross_entropy_loss(f.log().expand(50, 10, 3), y)
    assert estimate is not None
    assert estimate.value == pytest.approx(
        float(constant), abs=2 / (2 * 500) + 1e-9
    )  # Miller-Madow's correction


def test_z_loss_and_its_gradient() -> None:
    z = normal(4, 5).requires_grad_()
    value = z_loss(z, reduction="sum")
    (grad,) = torch.autograd.grad(value, z)
    lse = z.detach().logsumexp(1)
    torch.testing.assert_close(value.detach(), lse.square().sum())
    torch.testing.assert_close(grad, 2 * lse[:, None] * z.detach().softmax(1))
    assert float(z_loss(z.detach().log_softmax(1))) == pytest.approx(0.0, abs=1e-25)
    assert float(z_loss(torch.full((2, 4), 1e4).half())) == pytest.approx((1e4 + math.log(4)) ** 2, rel=1e-6)
    mask = torch.tensor([1, 0, 1, 0])
    spoilt = z.detach().masked_fill((mask == 0)[:, None], math.nan).requires_grad_()
    value = z_loss(spoilt, mask)
    (grad,) = torch.autograd.grad(value, spoilt)
    torch.testing.assert_close(value.detach(), lse[[0, 2]].square().mean())
    assert not grad[[1, 3]].any()
    shifted = z_loss(z.detach() + 1)
    assert abs(float(shifted - z_loss(z.detach()))) > 0.1  # unlike cross-entropy, it sees a common shift


# penalties


def test_penalties_of_known_parameters() -> None:
    w, b = torch.tensor([[3.0, -4.0]]).half(), torch.zeros(2, 2, requires_grad=True)
    assert float(l1_penalty(w, b).detach()) == 7.0
    assert float(L2Penalty()(w, b).detach()) == 25.0
    value = norm_penalty(w, b)
    (grad,) = torch.autograd.grad(value, b)
    assert float(value.detach()) == 5.0
    assert not grad.any()
    big = torch.full((1,), 3e4).half()
    assert float(l2_penalty(big)) == pytest.approx(9e8, rel=1e-3)
    assert float(l1_penalty()) == 0.0
    root = b.square().sum().sqrt()  # the planted mutant
    (grad,) = torch.autograd.grad(root, b)
    assert not torch.isfinite(grad).all()
