"""Runs a short training script under the watch, in this process, and judges what was recorded."""

import textwrap
from pathlib import Path
from runpy import run_path

from memory_watch import watching

from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn
torch.manual_seed(0)
"""
END = {"kind": "script-end", "status": "finished", "exit_code": 0}


def verdict_of(folder: Path, script: str) -> Verdict:
    """The verdict on ``script``, before which torch is imported and seeded."""
    path = folder / "train.py"
    path.write_text(HEAD + textwrap.dedent(script), encoding="utf-8")
    with watching() as record:
        run_path(str(path), run_name="__main__")
    series = {key: tuple(zip(*data, strict=True)) for key, data in record.data.items() if data}
    events = [{"kind": "run-start", "argv": ["train.py"], "script": "train.py"}, *record.events, END]
    return judge_run(Recording.from_memory(series, events, {}))


def complaints(verdict: Verdict) -> list[str]:
    """Codes of findings that are no context, causes first."""
    return [f.code for f in verdict.findings if f.severity != "info"]
