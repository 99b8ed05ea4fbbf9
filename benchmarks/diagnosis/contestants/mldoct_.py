"""mldoct 1.0.0: its linter reads the text of the script; its judgement of CSV logs loads a pickle and is left out."""

from pathlib import Path

from mldoctor.linter import lint_script

_CODES = {"missing_eval": "train-mode-in-evaluation"}
_SPEED = {"cpu_bottleneck", "oom_leak"}
"""What is said of speed and memory is no diagnosis of learning."""


def judge(script: Path, folder: Path) -> dict:
    """Everything above INFO, worst first; the script is not run."""
    found = sorted(lint_script(str(script))[0], key=lambda f: f["severity"] != "CRITICAL")
    return {
        "state": "judged",
        "findings": [
            {
                "code": _CODES.get(f["type"], f["type"].replace("_", "-")),
                "severity": "info" if f["severity"] == "INFO" or f["type"] in _SPEED else "warning",
                "title": f["message"],
            }
            for f in found
        ],
    }
