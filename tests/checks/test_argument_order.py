"""Parameters in another order than the task's: names assign them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import losscope
from losscope.checks.infer import infer, subject_of
from losscope.checks.ordering import order_of
from losscope.checks.target import of
from losscope.losses.tasks import TASKS


def beta_nll(mean: Tensor, variance: Tensor, target: Tensor) -> Tensor:
    loss = 0.5 * ((target - mean) ** 2 / variance + variance.log())
    return (loss * variance.detach() ** 0.5).mean()


def wrong_sign(mean: Tensor, logvar: Tensor, target: Tensor) -> Tensor:
    return (0.5 * (target - mean) ** 2 * torch.exp(logvar) + 0.5 * logvar).mean()


def keras_bce(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return F.binary_cross_entropy(y_pred, y_true)


@pytest.mark.parametrize(
    ("loss", "task", "order"),
    [
        (beta_nll, "heteroscedastic", (0, 2, 1)),
        (wrong_sign, "heteroscedastic-log", (0, 2, 1)),
        (keras_bce, "binary-probabilities", (1, 0)),
    ],
)
@pytest.mark.parametrize("given", [False, True])
def test_names_assign_parameters(loss, task, order, given):
    found = infer(of(loss), task if given else None)
    assert (found.task, found.order) == (task, order)
    subject = subject_of(of(loss), found)
    case = subject.case(0)
    in_its_order = [case[order.index(place)] for place in range(len(order))]
    torch.testing.assert_close(subject(*case), loss(*in_its_order))


@pytest.mark.parametrize(
    ("names", "task", "order"),
    [
        ("input target var", "heteroscedastic", None),
        ("variance target mean", "heteroscedastic", (2, 1, 0)),
        ("event time risk", "survival", (2, 1, 0)),
        ("teacher_logits student_logits", "distillation", (1, 0)),
        ("policy_chosen reference_chosen policy_rejected reference_rejected", "preference", (0, 2, 1, 3)),
        ("log_probs targets input_lengths target_lengths", "sequence", None),
        ("y_true y_pred", "regression", (1, 0)),
        ("x y", "regression", None),
        ("anchor positive negative", "triplet", None),
        ("target x", "regression", None),
    ],
)
def test_only_names_that_agree_with_one_assignment_change_the_order(names, task, order):
    assert order_of(names.split(), TASKS[task].arguments) == order


def test_the_repro_shows_the_order():
    source = subject_of(of(wrong_sign), infer(of(wrong_sign))).source
    assert source.endswith(
        "given = loss; loss = lambda input, target, log_variance: given(input, log_variance, target)"
    )


def test_the_audit_finds_the_sign_in_the_right_argument():
    found = losscope.audit(wrong_sign, only=["spread"], isolate=False)
    assert [e.check for e in found.bugs] == ["spread"]
    assert not losscope.audit(beta_nll, only=["spread"], isolate=False).bugs
