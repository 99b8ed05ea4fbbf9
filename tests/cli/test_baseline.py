"""A baseline: what is known does not stop a pipeline, what is new or worse does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from losscope.cli.baseline import command
from losscope.core.baseline import document, read_baseline
from losscope.core.errors import BadUsage
from losscope.core.finding import Where
from losscope.rules.judge import judge_run
from losscope.rules.learning_rate_too_high import broken
from losscope.watching.options import RunOptions
from losscope.watching.script_runner import GATE_FAILED, gated


@pytest.fixture(scope="module")
def judged():
    return judge_run(broken())


def at(verdict, file, line=12):
    found = tuple(replace(f, where=Where(str(file), line)) for f in verdict.findings)
    return replace(verdict, findings=found)


def written(folder, verdict):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(verdict.dumps())
    file = folder / "known.json"
    content = json.loads((folder / "verdict.json").read_text())
    file.write_text(json.dumps(document([content], folder)))
    return file


@pytest.mark.parametrize("name", ["known.json", "verdict.json", "."])
def test_known_findings_do_not_count_wherever_they_moved_to_in_their_file(judged, name, tmp_path, capsys):
    known = written(tmp_path, at(judged, tmp_path / "train.py")).parent / name
    options = RunOptions(fail_on="warning", baseline=known)
    assert gated(0, judged, replace(options, baseline=None)) == GATE_FAILED
    assert gated(0, at(judged, tmp_path / "train.py", 99), options) == 0
    assert "new findings: –" in capsys.readouterr().err
    assert gated(0, at(judged, tmp_path / "other.py"), options) == GATE_FAILED
    assert gated(3, at(judged, tmp_path / "other.py"), options) == 3
    told = capsys.readouterr().err
    assert "learning-rate-too-high" in told.partition(";")[0]
    assert "no longer found: " in told


def test_a_checkout_elsewhere_knows_them_too(judged, tmp_path):
    content = written(tmp_path / "here", at(judged, tmp_path / "here" / "src" / "train.py")).read_text()
    there = tmp_path / "there" / "known.json"
    there.parent.mkdir()
    there.write_text(content)
    options = RunOptions(fail_on="error", baseline=there)
    assert gated(0, at(judged, tmp_path / "there" / "src" / "train.py"), options) == 0
    assert gated(0, at(judged, tmp_path / "there" / "train.py"), options) == GATE_FAILED


def test_a_known_warning_that_became_an_error_is_new(judged, tmp_path):
    found = tuple(replace(f, severity="warning") for f in judged.findings if f.severity != "info")
    file = written(tmp_path, replace(judged, findings=found))
    assert gated(0, judged, RunOptions(fail_on="error", baseline=file)) == GATE_FAILED
    worse = written(tmp_path / "worse", judged)
    milder = replace(judged, findings=found)
    assert gated(0, milder, RunOptions(fail_on="warning", baseline=worse)) == 0


def test_the_command_collects_runs_and_is_sorted(judged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        folder = tmp_path / name
        written(folder, at(judged, tmp_path / f"{name}.py"))
        (folder / "run.json").write_text("{}")
        (folder / "segments").mkdir()
    done = CliRunner().invoke(command, ["a", "b"])
    assert done.exit_code == 0, done.output
    found = json.loads(Path("losscope-baseline.json").read_text())["findings"]
    assert f"{len(found)} known findings" in done.output
    assert {one["file"] for one in found} == {"a.py", "b.py"}
    assert found == sorted(found, key=lambda one: (one["code"], one["file"]))
    assert all(one["severity"] != "info" for one in found)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": 2, "findings": []}', '{"schema": 1, "findings": [3]}', "{" * 99]
)
def test_what_is_no_baseline_is_told_in_one_line(content, tmp_path):
    (tmp_path / "known.json").write_text(content)
    with pytest.raises(BadUsage, match="baseline") as told:
        read_baseline(tmp_path / "known.json")
    assert "known.json" in str(told.value)


def test_no_such_baseline(tmp_path):
    with pytest.raises(BadUsage, match="No such file"):
        read_baseline(tmp_path / "none.json")
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code
