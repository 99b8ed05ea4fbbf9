"""Runs scripts through the real ``losscope run``, each in a process of its own, and keeps what was found.

The processes are forked from one that has loaded torch, which saves seconds for each script; everything else is as in
``losscope run SCRIPT``. Results are kept per script by the text of the script, so that a run can be taken up again.
"""

import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from corpus import Case

LIMIT = 600
"""Seconds after which a script is given up."""
BUDGET = "30"
"""Percent that the watch may cost. A script of a second, loaded into a process that has torch already, would earn
two deep samples at the usual 3 %; a training of a minute earns as many as these have now."""

Judge = Callable[[Path, Path], dict]


def by_losscope(script: Path, folder: Path) -> dict:
    """What ``losscope run`` finds: codes with their severities, the top cause first."""
    from losscope.cli.main import main

    with contextlib.suppress(SystemExit):
        main(["run", "--examine", "0", "--budget", BUDGET, "--out", str(folder / "run"), str(script)])
    return verdict_of(folder / "run")


def verdict_of(run: Path) -> dict:
    """The findings of a run folder."""
    return findings_of(json.loads((run / "verdict.json").read_text()))


def findings_of(verdict: dict) -> dict:
    """The part of ``verdict.json`` that is scored."""
    found = [
        {"code": f["code"], "severity": f["severity"], "because_of": f["because_of"], "title": f["title"]}
        for f in verdict["findings"]
    ]
    return {
        "state": verdict["state"],
        "status": verdict["training"]["status"],
        "findings": found,
        "not_judged": {n["code"]: n["why"] for n in verdict["not_judged"]},
    }


def run_all(
    cases: Iterable[Case], folder: Path, judge: Judge = by_losscope, jobs: int = 1
) -> dict[str, dict]:
    """Results by the name of the case; what lies in ``folder`` already is not run again."""
    _load(by_losscope is judge)
    results, running, waiting = {}, {}, list(cases)
    while waiting or running:
        while waiting and len(running) < jobs:
            case = waiting.pop(0)
            kept = folder_of(case, folder)
            if (kept / "result.json").exists():
                results[case.name] = json.loads((kept / "result.json").read_text())
            else:
                running[_start(case, kept, judge)] = (case, kept)
        if running:
            pid, status = os.wait()
            case, kept = running.pop(pid)
            results[case.name] = _result(kept, status)
            print(
                f"{len(results):4d} {case.name}: {summary(results[case.name])}", file=sys.stderr, flush=True
            )
    return results


def kept_results(cases: Iterable[Case], folder: Path, again: bool = False) -> dict[str, dict]:
    """What lies in ``folder``; with ``again`` its recordings are judged anew, without a training."""
    results = {}
    for case in cases:
        kept = folder_of(case, folder)
        if (kept / "result.json").exists():
            results[case.name] = json.loads((kept / "result.json").read_text())
            if again and "failed" not in results[case.name]:
                results[case.name] |= judged_again(kept / "run")
    return results


def judged_again(run: Path) -> dict:
    """The findings that the rules, as they are now, have on a recording."""
    from losscope.recording.reader import Recording
    from losscope.rules.judge import judge_run

    verdict = judge_run(Recording.open(run))
    return findings_of(json.loads(json.dumps(verdict.to_json())))


def _load(ours: bool) -> None:
    """Load before the fork what every process would load: it is neither run nor counted.

    The watch budgets seconds. Here they are those of the processor, which do not depend on what else runs on the
    machine: the clock is changed before anything of losscope is loaded.
    """
    time.perf_counter = time.process_time
    import sklearn.datasets  # noqa: F401
    import torch
    import torch._dynamo

    torch.set_num_threads(1)
    if not ours:
        return
    import jinja2  # noqa: F401
    import rich.console  # noqa: F401

    import losscope

    for room in ("core", "losses", "anatomy", "recording", "probes", "rules", "watching", "report"):
        for info in pkgutil.walk_packages([f"{losscope.__path__[0]}/{room}"], f"losscope.{room}."):
            if "startup_path" not in info.name:
                importlib.import_module(info.name)


def folder_of(case: Case, folder: Path) -> Path:
    """Where the script of a case and what was found in it are kept: named by the text of the script."""
    return folder / hashlib.sha256(case.text.encode()).hexdigest()[:16]


def summary(result: dict) -> str:
    """One line: the result of the script and the complaints about it."""
    complaints = [f["code"] for f in result.get("findings", []) if f["severity"] != "info"]
    return f"{result.get('result')} {result.get('state', result.get('failed', ''))[:60]} {complaints}"


def _start(case: Case, kept: Path, judge: Judge) -> int:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    script = kept / f"{case.program}.py"
    script.write_text(case.text)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(LIMIT)
    out = os.open(kept / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 1
    try:
        os.chdir(kept)
        began = time.process_time()
        found = judge(script, kept)
        (kept / "found.json").write_text(json.dumps({**found, "cpu_seconds": time.process_time() - began}))
        code = 0
    except BaseException as error:  # noqa: BLE001  told in the result
        print(f"judge failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _result(kept: Path, status: int) -> dict:
    output = (kept / "output.txt").read_text(errors="replace") if (kept / "output.txt").exists() else ""
    said = re.findall(r"^result: (\S+)", output, re.MULTILINE)
    result: dict = {"result": float(said[-1]) if said else None}
    if status == 0:
        result |= json.loads((kept / "found.json").read_text())
    else:
        result["failed"] = f"status {status}: {output[-300:]}"
    if not said:
        result["output"] = output[-600:]
    (kept / "result.json").write_text(json.dumps(result))
    return result
