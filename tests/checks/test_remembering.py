"""Losses that remember their calls: one finding, and no others that follow from it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losscope
from losscope.checks.engine import execute
from losscope.checks.ignored import CHECK as IGNORED
from losscope.checks.subject import Subject
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument


class InBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ema", torch.ones(()))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        value = F.mse_loss(input, target)
        with torch.no_grad():
            self.ema.mul_(0.9).add_(0.1 * value.to(self.ema.dtype))
        return value / self.ema.to(value.dtype)


class InAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ema = 1.0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        value = F.mse_loss(input, target)
        self.ema = 0.9 * self.ema + 0.1 * float(value.detach())
        return value / self.ema


@pytest.mark.parametrize("make", [InBuffer, InAttribute])
def test_memory_is_one_finding(make: type[nn.Module]) -> None:
    loss = make()
    before = {k: v.clone() for k, v in loss.state_dict().items()}
    found = losscope.audit(loss, skip=["compile", "torch-func"])
    assert found.task == "regression" and not found.bugs
    assert "remembers" in str(next(e for e in found.conventions if e.check == "deterministic").text)
    names = {e.check for e in found.conventions}
    assert not names & {"accumulation", "precision", "mutation", "additive", "permutation-equivariant"}
    assert all(torch.equal(before[k], v) for k, v in loss.state_dict().items())


CLASSES = (Argument("input", "logits"), Argument("target", "class-index"))
MASKED = (Argument("input", "values"), Argument("target", "real"), Argument("mask", "binary"))


def _hard_coded(z: Tensor, y: Tensor, *, count_all: bool) -> Tensor:
    kept = y != 255
    each = -z.log_softmax(1).gather(1, torch.where(kept, y, 0)[:, None])[:, 0]
    return torch.where(kept, each, 0.0).sum() / (len(y) if count_all else kept.sum())


def _masked(x: Tensor, t: Tensor, m: Tensor, *, count_all: bool) -> Tensor:
    each = torch.where(m > 0, (x - t).square(), 0.0)
    return each.sum() / (each.numel() if count_all else m.sum())


@pytest.mark.parametrize(("loss", "arguments"), [(_hard_coded, CLASSES), (_masked, MASKED)])
@pytest.mark.parametrize("count_all", [True, False])
def test_what_is_ignored_without_an_option_is_found(loss, arguments, count_all: bool) -> None:
    subject = Subject(
        name="planted", call=lambda *case: loss(*case, count_all=count_all), arguments=arguments
    )
    evidence = execute(IGNORED, subject)
    told = any("denominator" in str(e.text) for e in evidence)
    assert told is count_all
    masked = (
        len(arguments) == 3
    )  # where there is a mask, what it hides may not count; a hidden convention is let pass
    assert [e.severity for e in evidence if "denominator" in str(e.text)] == (
        ["bug" if masked else "convention"] if count_all else []
    )
    assert any(e.outcome == "pass" for e in evidence) is not (masked and count_all)


def test_a_label_that_wraps_around_is_not_taken_for_ignored() -> None:
    def wraps(z: Tensor, y: Tensor) -> Tensor:
        return -z.log_softmax(1)[torch.arange(len(y)), y].mean()

    (evidence,) = execute(IGNORED, Subject(name="wraps", call=wraps, arguments=CLASSES))
    assert evidence.outcome == "not-applicable"


def test_a_known_loss_that_always_raises_is_one_line() -> None:
    with pytest.raises(BadUsage, match="raises on ordinary inputs"):
        losscope.audit(nn.MSELoss(reduction="bogus"), only=["gradient"])
