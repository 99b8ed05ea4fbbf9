"""What a loss takes is found out by its behaviour: with the names that people give, and with none at all."""

from collections.abc import Callable

import loss_zoo
import pytest
import torch
from loss_zoo import ZOO, anonymous
from torch import Tensor

import losscope
from losscope.checks.infer import infer, subject_of
from losscope.checks.target import of


@pytest.mark.parametrize(("loss", "readings"), ZOO, ids=[loss.__name__ for loss, _ in ZOO])
def test_by_the_names_that_people_give(loss: Callable[..., Tensor], readings: set[str]) -> None:
    assert infer(of(loss)).task in readings


@pytest.mark.parametrize(("loss", "readings"), ZOO, ids=[loss.__name__ for loss, _ in ZOO])
def test_by_behaviour_alone(loss: Callable[..., Tensor], readings: set[str]) -> None:
    assert infer(of(anonymous(loss))).task in readings


@pytest.mark.parametrize("alpha", [[0.2, 0.3, 0.5], [1.0, 2.0], [0.1] * 7])
def test_as_many_weights_as_classes(alpha: list[float]) -> None:
    target = of(loss_zoo.AlphaFocal(alpha=alpha))
    found = infer(target)
    assert found.task == "multi-class"
    logits, labels = subject_of(target, found).case(0)
    assert logits.shape[1] == len(alpha)
    assert int(labels.max()) < len(alpha)


def test_as_many_columns_as_quantiles() -> None:
    target = of(loss_zoo.pinball_five)
    assert subject_of(target, infer(target)).case(0)[0].shape[1] == 5


@pytest.mark.parametrize("loss", [loss_zoo.ohem, anonymous(loss_zoo.ohem), loss_zoo.dict_of_losses])
def test_what_equals_a_known_loss_on_few_samples_only_is_another(loss: Callable[..., Tensor]) -> None:
    found = infer(of(loss))
    assert found.task == "multi-class"
    assert found.contract is None


def test_equal_values_are_recognised_in_any_library() -> None:
    def mine(x: Tensor, y: Tensor) -> Tensor:
        return (x.logsumexp(1) - x.gather(1, y[:, None])[:, 0]).mean()

    assert infer(of(mine)).contract == "cross_entropy"


def test_sizes_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from losscope.checks import candidates

    told: list[object] = []
    original = candidates.built_for
    monkeypatch.setattr(candidates, "built_for", lambda *a: told.append(a) or original(*a))
    infer(of(loss_zoo.masked_mse))
    assert len(told) == 1


def test_inputs_of_a_given_task_have_the_sizes_that_the_loss_needs() -> None:
    target = of(loss_zoo.focal_alpha)
    found = infer(target, "multi-class")
    assert subject_of(target, found).case(0)[0].shape == torch.Size([6, 3])


def test_a_loss_keeps_its_own_label_for_padding() -> None:
    found = losscope.audit(
        loss_zoo.label_smoothed_nll_loss, only=["ignored", "target-validation"], isolate=False
    )
    assert found.bugs == []
    assert "tried: 1, 0" in " ".join(str(e.text) for e in found.passed)


def test_padding_that_counts_is_found_under_the_own_label() -> None:
    def padded(logits: Tensor, target: Tensor, ignore_index: int = 1) -> Tensor:
        lp, kept = logits.log_softmax(1), target != ignore_index
        return -(lp.gather(1, target[:, None])[:, 0] * kept).sum() / kept.sum() - 0.1 * lp.mean()

    found = losscope.audit(padded, task="multi-class", only=["ignored"], isolate=False)
    assert [e.check for e in found.bugs] == ["ignored"]


@pytest.mark.parametrize("loss", [loss_zoo.softmax_dice, loss_zoo.pinball, loss_zoo.nig_nll])
def test_new_kinds_of_input_are_examined_without_a_fault(loss: Callable[..., Tensor]) -> None:
    found = losscope.audit(loss, only=["gradient", "target-validation", "mutation"], isolate=False)
    assert found.bugs == []
    assert [str(e.text) for e in found.evidence if e.outcome == "not-finished"] == []
