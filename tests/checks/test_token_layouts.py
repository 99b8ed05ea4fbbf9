"""Tokens with logits of shape (B, T, V): a view in the place of a transpose is found."""

import pytest
import torch.nn.functional as F
from torch import Tensor

import losscope


def viewed(logits: Tensor, labels: Tensor) -> Tensor:
    batch, time, vocabulary = logits.shape
    return F.cross_entropy(logits.view(batch, vocabulary, time), labels)


def transposed(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.transpose(1, 2), labels, label_smoothing=0.3)


def shifted(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


@pytest.mark.parametrize("task", [None, "tokens"])
def test_a_view_is_no_transpose(task):
    found = losscope.audit(viewed, task, only=["perfect"], isolate=False)
    assert found.task == "tokens"
    assert [e.check for e in found.bugs] == ["perfect"]


@pytest.mark.parametrize("loss", [transposed, shifted])
def test_right_layouts_pass(loss):
    found = losscope.audit(loss, only=["perfect"], isolate=False)
    assert found.task == "tokens"
    assert [e.outcome for e in found.evidence] == ["pass"]
