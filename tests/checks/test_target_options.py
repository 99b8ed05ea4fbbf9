"""Options that are tensors, and functions that make a loss."""

import subprocess
import sys
from pathlib import Path

import badly_behaved
import pytest
import torch

import losscope
from losscope.checks.options import with_options
from losscope.checks.target import resolve
from losscope.cli.main import main
from losscope.core.errors import BadUsage

WEIGHT = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", ["KeepsWeights", "RegistersWeights", "weighted"])
@pytest.mark.parametrize("written", ["[1, 2, 3]", "tensor([1.0, 2.0, 3.0])", "torch.tensor([1.0, 2.0, 3.0])"])
def test_a_weight_of_classes_is_a_tensor(name: str, written: str) -> None:
    target = f"badly_behaved:{name}(weight={written})"
    found = losscope.audit(target, task="multi-class", only=["gradient", "precision"])
    assert {e.check: e.outcome for e in found.evidence}["gradient"] == "pass"
    case = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    chosen = resolve(target)
    loss = (chosen.as_tensors() if chosen.as_tensors and name == "KeepsWeights" else chosen).make({})
    assert loss(*case) == pytest.approx(float(badly_behaved.weighted(*case, weight=WEIGHT)))


def test_the_repro_makes_the_tensor() -> None:
    lines = resolve("badly_behaved:weighted(weight=[1, 2, 3])").source({})
    done = subprocess.run(
        [sys.executable, "-c", f"{lines}\nprint(loss(torch.zeros(1, 3), torch.tensor([2])).item())"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert float(done.stdout) == pytest.approx(1.0986123)


def test_a_loss_that_wants_a_list_gets_one() -> None:
    chosen = resolve("badly_behaved:KeepsWeights(weight=[1, 2, 3])")
    assert chosen.loss.weight == [1, 2, 3]


@pytest.mark.parametrize(
    ("target", "contract"),
    [
        ("makes_a_module", "smooth_l1"),
        ("makes_a_module()", "smooth_l1"),
        ("makes_with_options(beta=2)", "smooth_l1"),
        ("makes_a_closure()", None),
    ],
)
def test_a_function_may_make_the_loss(target: str, contract: str | None) -> None:
    found = losscope.audit(f"badly_behaved:{target}", only=["gradient", "broadcasting"])
    assert (found.task, found.contract) == ("regression", contract)
    assert found.name == f"badly_behaved.{target.removesuffix('()').partition('(')[0]}" + (
        "(beta=2)" if "beta" in target else "()"
    )
    if contract is None:
        assert found.bugs[0].counterexample is not None
        assert "loss = makes_a_closure()" in found.bugs[0].counterexample.repro


def test_what_makes_no_loss_is_told() -> None:
    with pytest.raises(BadUsage, match=r"makes_nothing takes no arguments and returns no loss .*int 3"):
        losscope.audit("badly_behaved:makes_nothing()")


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("a:Loss", ["gamma=2"], "a:Loss(gamma=2)"),
        ("a:Loss()", ["gamma=2", "reduction=sum"], "a:Loss(gamma=2, reduction='sum')"),
        ("a:Loss(x=1)", ["w=[1,2]"], "a:Loss(x=1, w=[1,2])"),
        ("a:Loss", ["w=tensor([1.,2.])"], "a:Loss(w=tensor([1.,2.]))"),
        ("a:Loss(x=1)", [], "a:Loss(x=1)"),
    ],
)
def test_options_of_the_command_line_stand_in_the_brackets(
    target: str, options: list[str], said: str
) -> None:
    assert with_options(target, options) == said


@pytest.mark.parametrize("option", ["gamma", "=2", "w=[1,2", "w=open('x')"])
def test_a_wrong_option_is_one_line(option: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["audit", "torch.nn:L1Loss", "--option", option]) == 2
    told = capsys.readouterr().err
    assert option in told and told.count("\n") == 1


def test_the_command_takes_options(capsys: pytest.CaptureFixture) -> None:
    words = ["--option", "weight=[1,2,3]", "--option", "reduction=sum", "--only", "mutation"]
    assert main(["audit", "torch.nn:CrossEntropyLoss", *words]) == 0
    assert "passed: 1" in capsys.readouterr().out
