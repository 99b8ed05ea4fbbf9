"""The fixture that other people's tests use."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

SUITE = """
import badly_behaved

QUICK = ["gradient", "broadcasting"]

def test_good(loss_audit):
    assert loss_audit(badly_behaved.good, only=QUICK).task == "regression"

def test_bad(loss_audit):
    loss_audit(badly_behaved.wrong_broadcast, only=QUICK)

def test_not_a_loss(loss_audit):
    loss_audit(badly_behaved.returns_none, only=QUICK)

def test_misspelt(loss_audit):
    loss_audit(badly_behaved.good, skip=["brodcasting"])

def test_skipped(loss_audit):
    loss_audit(badly_behaved.wrong_broadcast, only=QUICK, skip=["broadcasting"])
"""


def test_a_suite_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(f"import sys; sys.path.insert(0, {str(HERE)!r})")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert "3 failed, 2 passed" in done.stdout, done.stdout
    assert "is accepted silently" in done.stdout
    assert "losscope: " in done.stdout
    assert "Traceback" not in done.stdout
    body, _, _ = done.stdout.partition("short test summary")
    assert body.count("did you mean broadcasting") == 1
    assert "During handling" not in done.stdout
