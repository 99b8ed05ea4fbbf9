"""Perfect masks cost nothing; a clip never holds a policy where it has gone wrong."""

import pytest
import torch
from torch import Tensor

import losscope


def half_jaccard(logits: Tensor, target: Tensor) -> Tensor:
    p, t = torch.sigmoid(logits).flatten(1), target.flatten(1)
    return (1 - ((p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()


def jaccard(logits: Tensor, target: Tensor) -> Tensor:
    p, t = torch.sigmoid(logits).flatten(1), target.flatten(1)
    both = (p * t).sum(1)
    return (1 - (both + 1) / (p.sum(1) + t.sum(1) - both + 1)).mean()


def clipped(pick, log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    ratio = torch.exp(log_probs - old_log_probs)
    return pick(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()


def ppo_of_min(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    return clipped(torch.min, log_probs, old_log_probs, advantages)


def ppo(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    return clipped(torch.max, log_probs, old_log_probs, advantages)


def reinforced(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    return -(torch.exp(log_probs - old_log_probs) * advantages).mean()


@pytest.mark.parametrize(
    ("loss", "task", "bugs"),
    [
        (half_jaccard, "segmentation", ["perfect"]),
        (jaccard, "segmentation", []),
        (ppo_of_min, "policy", ["perfect"]),
        (ppo, "policy", []),
        (reinforced, "policy", []),
    ],
)
def test_what_is_right_is_priced_so(loss, task, bugs):
    found = losscope.audit(loss, task, only=["perfect"], isolate=False)
    assert [e.check for e in found.bugs] == bugs
