"""The audit as a user meets it: any callable, one clear line for bad input, never a hang."""

import json
import subprocess
import sys
import time
from pathlib import Path

import badly_behaved
import pytest
import torch
import torch.nn.functional as F
from badly_behaved import NeedsOption
from click.testing import CliRunner

import losscope
from losscope.cli.audit import command
from losscope.core.errors import BadUsage

HERE = Path(__file__).parent
QUICK = ["gradient", "broadcasting"]


def test_a_good_loss_has_no_bug_and_is_truthy() -> None:
    found = losscope.audit(badly_behaved.good, only=QUICK)
    assert found
    assert found.bugs == []
    assert found.task == "regression"
    assert found.contract == "huber"
    assert {e.check for e in found.passed} >= {"gradient"}


def test_a_closure_is_audited_and_its_bug_found() -> None:
    factor = 2.0
    found = losscope.audit(lambda a, b: factor * (a - b).abs().mean(), only=QUICK)
    assert not found
    assert [e.check for e in found.bugs] == ["broadcasting"]
    assert found.bugs[0].counterexample is not None
    assert "print(loss(" in found.bugs[0].counterexample.repro


def test_a_repro_shows_what_it_says(tmp_path: Path) -> None:
    found = losscope.audit("badly_behaved:wrong_broadcast", only=["broadcasting"])
    repro = found.bugs[0].counterexample
    assert repro is not None
    done = subprocess.run(
        [sys.executable, "-c", repro.repro],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "tensor(" in done.stdout


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        (torch.nn.CrossEntropyLoss(), "multi-class"),
        (torch.nn.BCEWithLogitsLoss(), "binary"),
        (torch.nn.BCELoss(), "binary"),
        (lambda logits, labels: -logits.log_softmax(1).gather(1, labels[:, None]).mean(), "multi-class"),
        (lambda x, t: (x - t).square().mean(), "regression"),
        (lambda a, b: (F.softplus(a) - b * a).mean(), "binary"),
        (lambda p, t: -(t * p.log() + (1 - t) * (1 - p).log()).mean(), "binary-probabilities"),
        (lambda s, y: (1 - s * y).relu().mean(), "margin"),
        (lambda anchor, positive, negative: 2 * F.triplet_margin_loss(anchor, positive, negative), "triplet"),
    ],
)
def test_the_task_is_inferred(loss: object, task: str) -> None:
    assert losscope.audit(loss, only=["gradient"], isolate=False).task == task


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("returns_none", "None"),
        ("returns_number", "float"),
        ("always_raises", "this loss needs"),
        ("needs_gpu", "CUDA"),
        ("number", "cannot be called"),
        ("NeedsOption", "gamma"),
        ("NeedsOption(beta=1)", "beta"),
        ("NeedsOption(gamma=open('x'))", "plain values"),
        ("no_such_name", "has no no_such_name"),
        ("goood", "did you mean good"),
    ],
)
def test_bad_input_is_one_clear_line(target: str, says: str) -> None:
    with pytest.raises(BadUsage, match=r".") as caught:
        losscope.audit(f"badly_behaved:{target}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(BadUsage, match="gradiant"):
        losscope.audit(F.mse_loss, only=["gradiant"])
    with pytest.raises(BadUsage, match="multi-class"):
        losscope.audit(F.mse_loss, task="multiclass")
    with pytest.raises(BadUsage, match="survival"):
        losscope.audit(F.mse_loss, task="survival")


def test_a_loss_that_hangs_costs_its_limit_and_no_more() -> None:
    began = time.monotonic()
    with pytest.raises(BadUsage, match="did not answer"):
        losscope.audit(badly_behaved.hangs, seconds=2)
    assert time.monotonic() - began < 60


def test_a_check_that_hangs_is_given_up_and_the_others_go_on() -> None:
    found = losscope.audit(badly_behaved.hangs_on_large, only=["finite", "gradient", "mutation"], seconds=4)
    outcomes = {e.check: e.outcome for e in found.evidence}
    assert outcomes == {"finite": "not-finished", "gradient": "pass", "mutation": "pass"}


def test_a_huge_allocation_is_refused_and_the_process_lives() -> None:
    found = losscope.audit(badly_behaved.allocates, only=["accumulation", "gradient"])
    assert {e.check: e.outcome for e in found.evidence}["gradient"] == "pass"
    assert not [e for e in found.evidence if e.check == "accumulation" and e.outcome == "pass"]


def test_a_loss_that_ends_the_process_is_reported() -> None:
    found = losscope.audit(badly_behaved.exits, only=["finite", "gradient"])
    ended = next(e for e in found.evidence if e.check == "finite")
    assert ended.outcome == "not-finished"
    assert "exit code 7" in str(ended.text)


def test_what_a_loss_prints_does_not_reach_stdout(capfd: pytest.CaptureFixture) -> None:
    found = losscope.audit(badly_behaved.talks, only=["quiet", "gradient"])
    assert [e.check for e in found.conventions] == ["quiet"]
    assert "talking" not in capfd.readouterr().out


def test_options_in_the_target_reach_the_loss() -> None:
    found = losscope.audit("badly_behaved:NeedsOption(gamma=2)", task="multi-class", only=["gradient"])
    assert found.bugs == []
    assert found.task == "multi-class"


def test_an_audit_leaves_random_state_and_threads_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    for isolate in (True, False):
        losscope.audit(F.mse_loss, only=["deterministic", "quiet"], isolate=isolate)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_json_is_plain_data_in_both_languages() -> None:
    found = losscope.audit(badly_behaved.wrong_broadcast, only=QUICK)
    for language in ("en", "zh"):
        data = json.loads(json.dumps(found.to_json(language), ensure_ascii=False))
        assert data["bugs"][0]["check"] == "broadcasting"
        assert data["task"] == "regression"
    assert "静默" in found.summary("zh")


def test_progress_is_told_for_every_check() -> None:
    told: list[tuple[int, int, str]] = []
    losscope.audit(F.mse_loss, only=QUICK, progress=lambda *news: told.append(news))
    assert told[0][:2] == (0, 2)
    assert told[-1][:2] == (2, 2)


@pytest.mark.parametrize(("target", "code"), [("good", 0), ("wrong_broadcast", 1)])
def test_exit_codes_and_json_file(target: str, code: int, tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    arguments = [f"badly_behaved:{target}", "--only", "gradient,broadcasting", "--json", str(out)]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == code, result.output
    assert json.loads(out.read_text())["loss"] == f"badly_behaved.{target}"


def test_the_command_says_what_was_wrong_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "losscope", "audit", "badly_behaved:returns_none"],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "None" in done.stderr


def test_a_live_module_keeps_its_options() -> None:
    found = losscope.audit(NeedsOption(2.0), only=["gradient"], isolate=False)
    assert found.bugs == []


def test_a_property_that_the_contract_denies_is_not_had() -> None:
    found = losscope.audit(losscope.losses.dice_loss, only=["convex"])
    assert found.contract == "dice"
    assert found.properties == {"convex": False}
