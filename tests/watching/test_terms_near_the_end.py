"""The terms of a sum are known near the end of a run, also where deep samples cannot be afforded there."""

import pytest
import torch
import torch.nn.functional as F
from memory_watch import watching
from torch import nn

from losscope.recording import signals as s
from losscope.watching.budget import Governor

UPDATES = 300


@pytest.fixture(autouse=True)
def _only_the_first_sample(monkeypatch):
    """A budget that pays for one deep sample."""
    monkeypatch.setattr(Governor, "wants_deep", lambda self, update: not self._sampled)


def train(share=1e9, parts=1, terms=2, last=UPDATES):
    """Losses and penalties of every update, and what was recorded."""
    torch.manual_seed(0)
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses, penalties = [], []
    with watching(share) as record:
        for _ in range(last):
            optimizer.zero_grad()
            for _ in range(parts):
                loss = F.mse_loss(model(x), y)
                losses.append(loss.item())
                penalties.append(sum(p.detach().abs().sum() for p in model.parameters()))
                if terms == 2:
                    loss = loss + 1e-2 * sum(p.abs().sum() for p in model.parameters())
                (loss / parts).backward()
            optimizer.step()
    return losses[::parts], [float(p) for p in penalties[::parts]], record


@pytest.mark.parametrize("parts", [1, 2])
def test_both_terms_are_known_in_the_last_fifth_with_the_values_of_their_update(parts):
    losses, penalties, record = train(parts=parts)
    steps = record.steps(s.TERM_VALUE, "0/0")
    assert steps == record.steps(s.TERM_VALUE, "0/1") and steps[-1] > 0.75 * UPDATES
    assert len(steps) < 30  # evenly on a log scale, not at every update
    assert record.values(s.TERM_VALUE, "0/0") == pytest.approx([losses[i] for i in steps], rel=1e-4)
    assert record.values(s.TERM_VALUE, "0/1") == pytest.approx([penalties[i] for i in steps], rel=1e-4)
    assert len(record.of("anatomy")) == 1


def test_of_a_single_term_the_recorded_losses_are_enough():
    assert train(terms=1)[2].steps(s.TERM_VALUE, "0/0") == [0]


def test_without_a_budget_nothing_more_is_read():
    assert train(share=0.0, last=40)[2].steps(s.TERM_VALUE, "0/0") == [0]
