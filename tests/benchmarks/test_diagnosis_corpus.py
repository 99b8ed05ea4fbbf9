"""The benchmark of the diagnosis: its corpus is sound, its scores are right, and scripts really run through it."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "benchmarks" / "diagnosis"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(PLACE))
    yield
    sys.path.remove(str(PLACE))


def of(name):
    return importlib.import_module(name)


def test_every_script_is_python_and_every_fault_has_one():
    corpus = of("corpus")
    texts, cases = corpus.programs(), corpus.cases()
    for case in cases:
        ast.parse(case.text, case.name)
        assert (case.text == texts[case.program]) == case.name.endswith("--as_it_is")
    healthy, faulty = [c for c in cases if not c.codes], [c for c in cases if c.codes]
    assert len(healthy) >= 150 and len(faulty) >= 150
    assert {c.change for c in faulty} == {change.name for change in corpus.fault_changes()}
    assert len({c.name for c in cases}) == len(cases)
    assert all(
        text.count('print("result:"') == 1 and corpus.chance(text) is not None for text in texts.values()
    )


def test_what_was_tuned_is_apart_from_what_is_reported():
    """No program and no fault of the reported part may have been looked at."""
    cases = of("corpus").faulty()
    open_ones = [c for c in cases if c.part == "tune"]
    held_out = [c for c in cases if c.part == "report"]
    assert open_ones and held_out
    assert not {c.change for c in open_ones} & {c.change for c in held_out}
    assert not {c.program for c in open_ones} & {c.program for c in held_out}


def test_wilson_intervals_are_those_of_the_books():
    """Newcombe (1998), table I: 81 of 263 and 0 of 20."""
    interval = of("scores").interval
    assert interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert interval(0, 20)[1] != pytest.approx(1.96 * (0.05 * 0.95 / 20) ** 0.5, abs=0.02)  # not Wald's


def test_scores_tell_the_top_cause_from_one_that_stands_behind():
    corpus, scores = of("corpus"), of("scores")

    def case(name, codes):
        return corpus.Case(f"wine_nll--{name}", "wine_nll", name, codes, "tune", "")

    def found(*codes):
        return {"result": 0.4, "findings": [{"code": c, "severity": "warning"} for c in codes]}

    cases = [case("as_it_is", ()), case("a", ("x",)), case("b", ("x",)), case("c", ("x",))]
    results = dict(
        zip([c.name for c in cases], [found("x"), found("x", "y"), found("y", "x"), found()], strict=True)
    )
    results["wine_nll--as_it_is"]["result"] = 1.0
    told = scores.report(cases, results)
    hits = {key: told["harmful"]["all"][key][0] for key in ("detected", "recalled", "top")}
    assert hits == {"detected": 2, "recalled": 2, "top": 1}
    assert told["healthy"]["all"]["alarmed"][0] == 1 and told["rules"] == {"x": 1}
    assert told["rows"][1]["harm"] == pytest.approx(1.0)


def test_scripts_run_through_losscope_run_and_are_kept(tmp_path):
    only = "lbfgs_logistic--as_it_is,wine_nll--NLL_of_probabilities"
    command = [sys.executable, PLACE / "diagnose.py", "--keep", tmp_path / "kept", "--only", only]
    command += ["--json", tmp_path / "report.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "report.json").read_text())["rows"]}
    assert rows["lbfgs_logistic--as_it_is"]["complaints"] == []
    assert rows["wine_nll--NLL_of_probabilities"]["top"]
    assert all(row["failed"] is None and row["result"] is not None for row in rows.values())
