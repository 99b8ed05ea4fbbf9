"""Trains inside this process under the watch, and judges what was recorded."""

import numpy as np
import torch
from memory_watch import watching

from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run


def recording_of(record) -> Recording:
    """What the watch wrote, as a recording of a script that has finished."""
    series = {
        key: (np.array([s for s, _ in points]), np.array([float(v) for _, v in points]))
        for key, points in record.data.items()
    }
    end = {"event": "script-end", "status": "finished", "exit_code": 0}
    return Recording.from_memory(series, [*record.events, end], {})


def verdict_on(script, *arguments, share=1e9):
    """The verdict on ``script(*arguments)``; ``share`` is the budget of the watch."""
    torch.manual_seed(0)
    with watching(share) as record:
        script(*arguments)
    return judge_run(recording_of(record))


def complaints(verdict) -> list[str]:
    """Codes of warnings and errors that are causes, the first one on top."""
    return [f.code for f in verdict.findings if f.severity != "info" and f.because_of is None]
