"""``losscope demo``: both verdicts, from any folder, under any settings; no quiet failure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from losscope.cli import demo
from losscope.cli.main import main

HOSTILE = "raise ImportError('a file of the working directory was imported')\n"


def answer(state: str | None, code: int = 0):
    """A stand-in for the watched training: leaves a verdict of ``state``, or none, and returns ``code``."""

    def run(script: Path, folder: Path, lang: str, arguments: tuple[str, ...]) -> int:
        if state is not None:
            (folder / "verdict.json").write_text(json.dumps({"state": state}))
        return code

    return run


def test_the_demo_shows_both_verdicts_in_a_hostile_folder(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text(HOSTILE)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.losscope]\nfail-on = "error"\nignore = ["double-softmax"]\n'
    )
    command = [sys.executable, "-P", "-m", "losscope", "demo", "--lang", "zh"]
    environment = {**os.environ, "LOSSCOPE_FAIL_ON": "warning", "LOSSCOPE_OUT": "elsewhere"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    for part in demo.PARTS:
        folder = tmp_path / "losscope-demo" / part.name
        assert json.loads((folder / "verdict.json").read_text())["state"] == part.state
        assert f"  {folder / 'report.html'}\n" in done.stdout
        assert (folder / "report.html").stat().st_size > 10_000
        assert done.stdout.index(part.heading.zh) < done.stdout.index(f"  {folder / 'report.html'}")
    found = json.loads((tmp_path / "losscope-demo/double-softmax/verdict.json").read_text())["findings"][0]
    assert found["code"] == "double-softmax"
    assert Path(found["where"]["file"]).name == demo.SCRIPT.name
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_demo_takes_new_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(script: Path, folder: Path, lang: str, arguments: tuple[str, ...]) -> int:
        return answer("wrong" if arguments else "healthy")(script, folder, lang, arguments)

    monkeypatch.setattr(demo, "run_watched", run)
    assert main(["demo", "--out", str(tmp_path / "a b")]) == 0
    assert main(["demo", "--out", str(tmp_path / "a b")]) == 0
    names = sorted(path.name for path in (tmp_path / "a b").iterdir())
    assert names == ["double-softmax", "double-softmax-2", "healthy", "healthy-2", demo.SCRIPT.name]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_without_scikit_learn_one_line_says_how_to_get_it(
    lang: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "--lang", lang]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert getattr(demo._NEEDS, lang) in said.err
    assert "-m pip install scikit-learn" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "case",
    [
        (answer("healthy", code=3), 3, ""),
        (answer(None), 70, "left no verdict"),
        (answer("suspicious"), 70, "'suspicious' instead of 'healthy'"),
    ],
    ids=["the script fails", "no verdict", "another verdict"],
)
def test_a_demo_that_fails_says_so(
    case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, code, says = case
    monkeypatch.setattr(demo, "run_watched", run)
    try:
        given = main(["demo", "--out", str(tmp_path)])
    except SystemExit as end:
        given = end.code
    assert given == code
    assert says in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file" / "below")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--out" in said
