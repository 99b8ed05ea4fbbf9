"""Counterexamples of checkers that look along lines are as small as those of the others, and show what they say."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.checks import bounded_below, continuity
from losscope.checks.check import Check
from losscope.checks.engine import execute
from losscope.checks.shrink import shrink
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.losses.arguments import Argument

PAIR = (Argument("input", "values"), Argument("target", "real"))
CLASSES = (Argument("input", "logits"), Argument("target", "class-index"))


def pieces(x: Tensor, t: Tensor) -> Tensor:
    d = (x - t).abs()
    return torch.where(d < 1, 0.5 * d.square(), d).mean()


def hard_only(z: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(z, y, reduction="none")
    return loss[loss > 0.7].sum() / 10


def wrong_sign(z: Tensor, y: Tensor) -> Tensor:
    lp = z.log_softmax(1)
    return 0.9 * F.nll_loss(lp, y) + 0.1 * lp.mean()


def sized(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y) - 0.1 * z.logsumexp(1).mean()


def found(check: Check, loss, arguments) -> tuple[Evidence, list[float]]:
    """The failure, and what the repro prints."""
    evidence = execute(check, Subject(name="loss", call=loss, arguments=arguments))[0]
    assert evidence.outcome == "fail" and evidence.counterexample is not None
    lines = evidence.counterexample.repro.splitlines()
    assert len(lines) <= 3
    told: list[float] = []
    exec(
        "\n".join(lines),
        {"loss": loss, "torch": torch, "print": lambda *values: told.extend(map(float, values))},
    )
    return evidence, told


@pytest.mark.parametrize(("loss", "arguments"), [(pieces, PAIR), (hard_only, CLASSES)])
def test_a_jump_is_shown_by_two_calls_on_one_sample(loss, arguments) -> None:
    evidence, told = found(continuity.CHECK, loss, arguments)
    assert evidence.counterexample is not None
    assert evidence.counterexample.arguments[1].count("], [") == 0
    said = re.findall(r"from (\S+) to (\S+) between", str(evidence.text))[0]
    assert told == pytest.approx([float(word) for word in said], rel=1e-5)
    assert told[0] != pytest.approx(told[1], rel=1e-3)
    assert sum(float(n) != 0 for n in re.findall(r"-?\d+\.\d+", evidence.counterexample.arguments[0])) == 1


@pytest.mark.parametrize("loss", [wrong_sign, sized])
def test_a_fall_without_end_is_shown_by_one_round_number(loss) -> None:
    evidence, told = found(bounded_below.CHECK, loss, CLASSES)
    assert evidence.counterexample is not None
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", evidence.counterexample.arguments[0])]
    large = [n for n in numbers if n]
    assert len(numbers) == 5 and len(large) == 1
    assert len(f"{abs(large[0]):.0f}".strip("0")) == 1
    assert f"{told[0]:.6g} at" in str(evidence.text)


def test_large_numbers_are_rounded_to_one_digit() -> None:
    subject = Subject(name="norm", call=lambda x, t: x.norm(), arguments=PAIR)
    case = (torch.tensor([[71234.5, -0.2, 3.0]], dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64))
    small = shrink(subject, case, lambda c: float(c[0].norm()) > 5000)
    assert small[0].tolist() == [[70000.0, 0.0, 0.0]]
    assert not torch.signbit(small[0]).any()
