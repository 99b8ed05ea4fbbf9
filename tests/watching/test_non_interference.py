"""Promise 1: watching changes nothing. Every script prints a hash of its weights, optimisers and random states.

The budget is set high, so that deep samples are taken as often as the watch ever takes them.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = sorted(
    str(path.relative_to(SCRIPTS))
    for path in SCRIPTS.rglob("*.py")
    if "report(" in path.read_text(encoding="utf-8") and path.name != "digest.py"
)
_TIMINGS = re.compile(r"'[a-z_]*(runtime|per_second)': '[^']*'")


def run(command, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOSSCOPE")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    return _TIMINGS.sub("", done.stdout), done.returncode, done.stderr


def test_there_are_at_least_twenty_varied_scripts():
    assert len(NAMES) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_watched_and_unwatched_runs_are_identical(name, tmp_path):
    script = str(SCRIPTS / name)
    output, code, errors = run([sys.executable, script], tmp_path)
    assert code == 0, errors
    watch = [
        sys.executable,
        "-m",
        "losscope",
        "run",
        "--budget",
        "100",
        "--out",
        str(tmp_path / "run"),
        script,
    ]
    watched_output, watched_code, watched_errors = run(watch, tmp_path)
    assert watched_output == output
    assert watched_code == code
    check_record(tmp_path / "run", watched_errors)


def check_record(folder, errors):
    """The watch saw the training, had no fault of its own, and raises no alarm on a healthy script."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [e for e in events if e["event"] == "fault"] == []
    verdict = json.loads((folder / "verdict.json").read_text())
    assert [f["code"] for f in verdict["findings"] if f["severity"] != "info"] == []
    assert verdict["state"] in {"healthy", "not-enough-evidence"}
    assert verdict["sentence"] in " ".join(errors.split())
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_comparison_would_notice_a_single_random_draw(tmp_path):
    """The planted failure: the same script with one more draw has another fingerprint."""
    source = (SCRIPTS / "adam_mlp.py").read_text()
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace("report(model", "torch.rand(1)\nreport(model"))
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    outputs = [
        subprocess.run(
            [sys.executable, path], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for path in (SCRIPTS / "adam_mlp.py", changed)
    ]
    states, randoms = zip(*(o.splitlines()[-2:] for o in outputs), strict=True)
    assert outputs[0] != outputs[1] and randoms[0] != randoms[1] and states[0] != randoms[0]
