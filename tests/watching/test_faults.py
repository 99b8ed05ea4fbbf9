"""Faults of our own never reach the script: planted in every probe, rule, format, the writer and the hooks."""

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from forked import server

from losscope.core.registry import module_names

SCRIPTS = Path(__file__).parents[1] / "scripts"
SCRIPT = """
import torch, torch.nn.functional as F
torch.manual_seed(0)
torch.set_num_threads(1)
x, y = torch.randn(256, 8), torch.randint(0, 3, (256,))
model = torch.nn.Linear(8, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    with torch.no_grad():
        F.cross_entropy(model(x), y)
print(loss.item(), torch.rand(1).item())
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    script = tmp_path_factory.mktemp("plain") / "train.py"
    script.write_text(SCRIPT)
    return subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout


def watch(tmp_path, plant="", out="run"):
    """Run the script watched, with ``plant`` executed first inside the watching process."""
    (tmp_path / "train.py").write_text(SCRIPT)
    driver = tmp_path / "driver.py"
    driver.write_text(
        textwrap.dedent(plant)
        + "\nimport sys\nfrom losscope.cli.main import main\nsys.argv = ['losscope', 'run', '--out', "
        + repr(out)
        + ", 'train.py']\nsys.exit(main())\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOSSCOPE")}
    return server().run([driver], tmp_path, environment)


def faults(tmp_path):
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == "fault"]


PROBES = [
    name
    for name in module_names("losscope.probes")
    if name not in {"losscope.probes.probe", "losscope.probes.thinning"}
]


@pytest.mark.thinned(6)
@pytest.mark.parametrize("module", PROBES)
def test_a_faulty_probe_is_switched_off_alone(module, tmp_path, expected):
    plant = f"""
        import {module} as module
        from losscope.probes.probe import Probe
        def broken(self, sample):
            raise RuntimeError("planted")
        for moment in ("objective", "gradients", "before_update", "after_update", "following"):
            if moment in vars(module.PROBE):
                setattr(module.PROBE, moment, broken)
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert len(faults(tmp_path)) == 1 and "planted" in faults(tmp_path)[0]["error"]
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert verdict["training"]["steps"] == 40


HOOKS = [
    "_backward",
    "_backward_done",
    "_step_begins",
    "_step_ends",
    "loss_computed",
    "optimizer_made",
    "finish",
]


@pytest.mark.thinned(4)
@pytest.mark.parametrize("method", HOOKS)
def test_a_faulty_hook_ends_the_watch_not_the_script(method, tmp_path, expected):
    plant = f"""
        import torch
        from losscope.watching import watch
        def broken(self, *args):
            raise RuntimeError("planted")
        broken.__name__ = {method!r}
        setattr(watch.Watch, {method!r}, watch.guarded(broken))
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr
    assert any("planted" in f["error"] for f in faults(tmp_path))


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    "target",
    [
        "losscope.anatomy.read:_read",
        "losscope.watching.deep:read",
        "losscope.watching.naming:Names.of",
        "losscope.watching.hooks:Hooks.install",
        "losscope.watching.session:Session._open_folder",
        "losscope.watching.session:Session._install",
        "losscope.recording.reader:Recording.open",
        "losscope.rules.judge:judge_run",
        "losscope.watching.publishing:publish",
        "losscope.watching.session:publish",
    ],
)
def test_a_fault_anywhere_else_leaves_the_script_alone(target, tmp_path, expected):
    module, _, path = target.partition(":")
    plant = f"""
        import importlib
        owner = importlib.import_module({module!r})
        *parents, name = {path!r}.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        def broken(*args, **kwargs):
            raise RuntimeError("planted")
        setattr(owner, name, broken)
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", ["losscope.rules", "losscope.report.formats"])
def test_every_rule_and_format_may_fail(package, tmp_path, expected):
    attribute = "RULE" if package.endswith("rules") else "FORMAT"
    plant = f"""
        from losscope.core.registry import discover
        def broken(*args, **kwargs):
            raise RuntimeError("planted")
        for thing in discover({package!r}, {attribute!r}).values():
            for name in ("judge", "render", "render_for"):
                if hasattr(thing, name):
                    object.__setattr__(thing, name, broken)
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr
    if attribute == "RULE":
        verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
        assert verdict["passed"] == [] and verdict["not_judged"]


DISK = {"full": errno.ENOSPC, "read-only": errno.EROFS, "broken": errno.EIO}


@pytest.mark.parametrize("number", DISK.values(), ids=DISK)
def test_a_failing_disk_costs_the_record_only(number, tmp_path, expected):
    plant = f"""
        import os, sys
        real = os.write
        def write(fd, data):
            if fd > 2 and sys._getframe(1).f_globals["__name__"].startswith("losscope."):
                raise OSError({number}, os.strerror({number}))
            return real(fd, data)
        os.write = write
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr
    assert os.strerror(number) in done.stderr


def test_an_unwritable_run_folder_gets_one_line_and_the_script_runs(tmp_path, expected):
    (tmp_path / "file").write_text("in the way")
    done = watch(tmp_path, out="file/run")
    assert (done.stdout, done.returncode) == (expected, 0)
    assert len(done.stderr.splitlines()) == 1 and "not watching" in done.stderr


def test_a_folder_deleted_while_training_costs_the_record_only(tmp_path, expected):
    plant = """
        import shutil, atexit, threading
        from losscope.watching import watch as w
        from losscope.watching.budget import Governor
        adapt = Governor.adapt
        def deleting(self, step):
            if step == 20:
                shutil.rmtree("run", ignore_errors=True)
            return adapt(self, step)
        Governor.adapt = deleting
    """
    done = watch(tmp_path, plant)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert "Traceback" not in done.stderr
