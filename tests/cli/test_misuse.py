"""Misuse of the command line: one line that names the remedy, exit code 2."""

from pathlib import Path

import pytest

from losscope.cli.main import main
from losscope.cli.report import run_folder
from losscope.core.errors import NotARun


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reprot", "x"], "did you mean report?"),
        (["zzz"], "losscope --help lists the commands"),
        (["explain", "Double_Sofmax"], "did you mean double-softmax?"),
        (["run"], "no script to run was named"),
        (["report", __file__], "lies in no run folder"),
        (["audit", "a:b", "--option"], "option '--option' requires an argument"),
        (["losses", "--jsn"], "no such option '--jsn'; did you mean '--json'?"),
        (["audit", "a:b", "--seconds", "x"], "'x' is not a valid number; losscope audit --help tells"),
    ],
)
def test_one_line_with_the_remedy(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_folder_of_runs_means_the_latest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    assert run_folder(str(tmp_path)) == tmp_path / "b"
    assert run_folder(str(tmp_path / "a" / "run.json")) == tmp_path / "a"
    with pytest.raises(NotARun):
        run_folder(__file__)
