"""What an audit says of something that it cannot examine: one line that is about this very fault."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import badly_behaved
import pytest
import torch
import torch.nn.functional as F

import losscope
from losscope.checks.audit import first_limit
from losscope.checks.isolation import in_child
from losscope.checks.subject import NotALoss, as_tensor
from losscope.checks.time_limit import Overrun, time_limit
from losscope.cli.progress import steps_shown
from losscope.core.errors import BadUsage

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("always_nan", ("no finite value", "nan")),
        ("returns_number", ("is no loss", "float 0.5", "not a tensor")),
        ("detached", ("without a gradient", "detach")),
        ("always_raises", ("tried", "RuntimeError: this loss needs", "wrap it")),
        ("forks", ("is no loss", "forks")),
        ("five", ("takes 7 arguments", "wrap it")),
    ],
)
def test_the_line_names_the_fault(name: str, says: tuple[str, ...]) -> None:
    with pytest.raises(BadUsage) as caught:
        losscope.audit(getattr(badly_behaved, name))
    assert [word for word in says if word not in str(caught.value)] == []
    assert "--task" not in str(caught.value)


def test_a_first_call_that_does_not_return_is_said_to_be_one() -> None:
    with pytest.raises(BadUsage, match=r"its first call did not return; as ") as caught:
        losscope.audit(badly_behaved.hangs, seconds=2)
    assert "--task" not in str(caught.value)


def test_a_slow_loss_is_said_to_be_slow() -> None:
    def slow(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        time.sleep(0.4)
        return F.l1_loss(input, target)

    def hangs_later(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if target.dtype.is_floating_point:
            time.sleep(1000)
        return F.cross_entropy(input, target)

    with pytest.raises(BadUsage, match=r"a call takes about 0\.4 s, and \d did not .*raise .*--seconds 4"):
        losscope.audit(slow, seconds=1)
    with pytest.raises(BadUsage, match=r"call \d+ did not return; as .*name its --task"):
        losscope.audit(hangs_later, seconds=2)


def test_more_time_is_more_time_for_a_slow_loss() -> None:
    assert [first_limit(s) for s in (1, 30, 60, 600)] == [1, 30, 30, 300]


def test_a_log_is_told_how_far_a_long_audit_is(capsys: pytest.CaptureFixture) -> None:
    clock = iter([0.0, 3.0, 11.0, 12.0, 27.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("losscope.cli.progress.time.monotonic", lambda: next(clock))
        with steps_shown("m:loss") as show:
            assert show is not None
            for state in ((0, 0, ""), (0, 0, ""), (1, 9, "finite"), (2, 9, "gradient")):
                show(*state)
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(", after ")[2] for line in told] == [
        "11 s: importing it, and finding out what it takes",
        "27 s: 2 of 9 done, now gradient",
    ]


def test_who_waits_is_told_that_he_does() -> None:
    beats: list[int] = []
    with pytest.raises(TimeoutError):
        in_child(lambda _: time.sleep(60), 1.5, waiting=lambda: beats.append(1))
    assert beats == [1]


def test_the_most_plausible_kind_is_told() -> None:
    def masked_error(pred: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a table is missing")

    with pytest.raises(BadUsage, match=r"as masked-.*: RuntimeError: a table is missing"):
        losscope.audit(masked_error)


def test_a_loss_that_forks_does_not_spoil_the_next_one() -> None:
    for _ in range(2):
        with pytest.raises(BadUsage, match="forks"):
            losscope.audit(badly_behaved.forks, isolate=False)
        assert losscope.audit(badly_behaved.good, only=["mutation"], isolate=False).passed


def test_helpers_that_end_by_themselves_are_allowed() -> None:
    found = losscope.audit(badly_behaved.helped, task="regression", only=["mutation"])
    assert [e.outcome for e in found.evidence] == ["pass"]


def test_an_interrupt_ends_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BADLY_BEHAVED", str(tmp_path / "begun"))
    started = subprocess.Popen(
        [sys.executable, "-m", "losscope", "audit", "badly_behaved:says_that_it_hangs"],
        cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "begun").exists() and started.poll() is None:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    out, error = started.communicate(timeout=60)
    assert (started.returncode, out, error) == (130, "", "losscope: the audit was interrupted\n")


def test_an_interrupt_of_the_loss_is_not_the_users() -> None:
    with pytest.raises(BadUsage, match="it raised KeyboardInterrupt"):
        losscope.audit(badly_behaved.interrupts)
    found = losscope.audit(badly_behaved.interrupts_on_large, only=["finite", "gradient"])
    assert [(e.check, e.outcome) for e in found.evidence] == [
        ("finite", "not-finished"),
        ("gradient", "pass"),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("import time\ntime.sleep(1000)", "did not end within 1 s"),
        (
            "while True:\n    try:\n        pass\n    except Exception:\n        pass",
            "did not end within 1 s",
        ),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_import_has_a_time_limit(
    lines: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"slow_{abs(hash(lines))}"
    (tmp_path / f"{name}.py").write_text(lines + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    began = time.monotonic()
    with pytest.raises(BadUsage) as caught:
        losscope.audit(f"{name}:loss", seconds=1)
    assert says in str(caught.value)
    assert name in str(caught.value)
    assert time.monotonic() - began < 30


def test_a_time_limit_that_is_kept_leaves_nothing_behind() -> None:
    with time_limit(0.05):
        pass
    time.sleep(0.1)
    with pytest.raises(Overrun), time_limit(0.05):
        time.sleep(10)


def test_several_losses_are_added_and_figures_are_not() -> None:
    x = torch.ones(3, requires_grad=True)
    assert as_tensor({"a": x.sum(), "b": 2 * x.sum(), "accuracy": torch.tensor(7.0)}).item() == 9.0
    assert as_tensor({"loss": x.sum(), "a": x.mean()}).item() == 3.0
    assert as_tensor({"only": F.mse_loss(x, x + 2)}).item() == 4.0
    with pytest.raises(NotALoss, match="dict"):
        as_tensor({"a": 1.0})
