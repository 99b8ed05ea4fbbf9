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
from forked import server

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = sorted(
    str(path.relative_to(SCRIPTS))
    for path in SCRIPTS.rglob("*.py")
    if "report(" in path.read_text(encoding="utf-8") and path.name != "digest.py"
)
_TIMINGS = re.compile(r"'[a-z_]*(runtime|per_second)': '[^']*'")


REAL = {  # these start as a user starts them; `make thorough` does so with all
    *("adam_mlp.py", "compiled.py", "loader_workers.py"),
}


def run_for_real(words, folder, environment):
    return subprocess.run(
        [sys.executable, *words], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )


def run(how, words, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOSSCOPE")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = how(words, folder, environment)
    return _TIMINGS.sub("", done.stdout), done.returncode, done.stderr


def test_there_are_at_least_twenty_varied_scripts():
    assert len(NAMES) >= 20


def compare(how, name, folder):
    script = str(SCRIPTS / name)
    output, code, errors = run(how, [script], folder)
    assert code == 0, errors
    options = ["--budget", "100", "--examine", "0.5", "--out", str(folder / "run")]
    watch = ["-m", "losscope", "run", *options, script]
    watched_output, watched_code, watched_errors = run(how, watch, folder)
    assert watched_output == output
    assert watched_code == code
    check_record(folder / "run", watched_errors)


IN_THOROUGH = {  # each has a near relative among those that stay
    *("accumulation.py", "double_backward.py", "flop_counter.py", "hand_written_mse.py", "manual_sgd.py"),
    *(
        "nan_and_except.py",
        "recurrent_float64.py",
        "sgd_momentum_conv.py",
        "sparse_embedding.py",
        "compiled_loss.py",
        "frameworks/hf_trainer.py",  # accelerate is inside of it
        *(
            "autograd_grad_updates.py",
            "deterministic.py",
            "functional_vmap.py",
            "sam_wrapper.py",
            "transformer_char.py",
        ),
    ),
}
assert not IN_THOROUGH - {*NAMES}
assert not IN_THOROUGH & REAL


@pytest.mark.parametrize("name", sorted({*NAMES} - IN_THOROUGH))
def test_watched_and_unwatched_runs_are_identical(name, tmp_path):
    compare(run_for_real if name in REAL else server().run, name, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted({*NAMES} - REAL))
def test_runs_started_afresh_are_identical(name, tmp_path):
    compare(run_for_real, name, tmp_path)


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
        run_for_real([path], tmp_path, environment).stdout for path in (SCRIPTS / "adam_mlp.py", changed)
    ]
    states, randoms = zip(*(o.splitlines()[-2:] for o in outputs), strict=True)
    assert outputs[0] != outputs[1] and randoms[0] != randoms[1] and states[0] != randoms[0]
