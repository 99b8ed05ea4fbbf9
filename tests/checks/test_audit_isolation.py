"""An audit leaves nothing behind: no process that the loss started, no setting that it changed."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import badly_behaved
import pytest
import torch
from badly_behaved import always_raises

import losscope
from losscope.checks import ambient, quiet
from losscope.checks.engine import execute
from losscope.checks.subject import Raised, Subject
from losscope.cli.main import main
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument

PAIR = (Argument("input", "values"), Argument("target", "real"))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
@pytest.mark.parametrize(
    "name",
    ["starts_a_helper", "starts_a_daemon", "starts_a_daemon_and_hangs", "starts_a_daemon_and_dies"],
)
def test_what_a_loss_starts_ends_with_the_audit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "helper"
    monkeypatch.setenv("BADLY_BEHAVED", str(note))
    with suppress(BadUsage):
        losscope.audit(getattr(badly_behaved, name), only=["mutation"], seconds=3)
    helper = int(note.read_text())
    until = time.monotonic() + 10
    while alive(helper) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(helper)


def test_a_loss_may_signal_its_parent() -> None:
    assert losscope.audit(badly_behaved.signals_its_parent, only=["mutation"]).passed


def test_memory_is_said_to_be_the_reason() -> None:
    with pytest.raises(BadUsage, match="runs out of memory"):
        losscope.audit(badly_behaved.needs_all_memory)


def test_meta_tensors_are_no_losses() -> None:
    with pytest.raises(BadUsage, match="meta device, which holds no numbers"):
        losscope.audit(badly_behaved.returns_meta)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("import os\nos._exit(0)", "importing {name} ended the process (seen: exit code 0)"),
        ("import os\nos.kill(os.getpid(), 9)", "importing {name} ended the process (seen: signal 9)"),
        ("raise KeyboardInterrupt", "importing {name} ended the process (seen: it raised KeyboardInterrupt)"),
    ],
)
def test_an_import_may_do_what_it_likes(lines: str, says: str, tmp_path: Path, capfd, monkeypatch) -> None:
    name = f"importing_{abs(hash(lines))}"
    (tmp_path / f"{name}.py").write_text(lines + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["audit", f"{name}:loss"]) == 2
    assert capfd.readouterr() == ("", f"losscope: {says.format(name=name)}\n")


def test_what_an_import_prints_does_not_spoil_json(tmp_path: Path, capfd, monkeypatch) -> None:
    (tmp_path / "importing_aloud.py").write_text("print('aloud')\nfrom torch.nn.functional import l1_loss\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["audit", "importing_aloud:l1_loss", "--only", "mutation", "--json", "-"]) == 0
    assert capfd.readouterr().out.startswith("{")


SETTINGS = {
    "device": "default device from cpu to meta",
    "dtype": "default dtype from torch.float32 to torch.float64",
    "anomaly": "anomaly detection",
    "deterministic": "deterministic algorithms",
    "threads": "number of threads",
    "grad_mode": "grad mode from True to False",
    "filters": "filters of warnings",
    "folder": "working folder",
    "environment": "environment variable BADLY_BEHAVED_VARIABLE",
    "numpy_seed": "random seed of numpy:",
    "python_seed": "random seed of python:",
}


@pytest.mark.parametrize("what", SETTINGS)
def test_a_changed_setting_is_told_and_put_back(what: str) -> None:
    before = ambient.read()
    loss = getattr(badly_behaved, f"sets_{what}")
    subject = Subject(name=what, call=loss, arguments=PAIR)
    found = execute(quiet.CHECK, subject)
    assert [SETTINGS[what] in str(e.text) for e in found] == [True]
    assert found[0].severity == ("bug" if what == "grad_mode" else "convention")
    assert found[0].counterexample is not None
    assert found[0].counterexample.arguments[0].count("[") == 2  # one sample
    assert ambient.read() == before
    assert "BADLY_BEHAVED_VARIABLE" not in os.environ


@pytest.mark.parametrize("what", ["device", "dtype", "grad_mode"])
def test_other_checks_do_not_suffer(what: str) -> None:
    loss = getattr(badly_behaved, f"sets_{what}")
    found = losscope.audit(loss, only=["gradient", "finite", "torch-func"], isolate=False)
    assert [e.outcome for e in found.evidence] == ["pass"] * len(found.evidence)
    assert found.contract == "l1"


def test_the_callers_settings_do_not_matter() -> None:
    with torch.no_grad(), torch.device("meta"):
        found = losscope.audit(badly_behaved.good, only=["gradient"], isolate=False)
        assert torch.empty(0).is_meta and not torch.is_grad_enabled()
    assert [e.outcome for e in found.evidence] == ["pass"]


def test_settings_are_put_back_where_the_loss_raises() -> None:
    def raising(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        torch.set_default_dtype(torch.float64)
        return always_raises(input, target)

    with pytest.raises(Raised):
        Subject(name="raising", call=raising, arguments=PAIR)(torch.zeros(1), torch.zeros(1))
    assert torch.get_default_dtype() == torch.float32
