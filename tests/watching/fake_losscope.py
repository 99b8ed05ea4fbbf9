"""``losscope`` with a session that only notes, in the file $FAKE_SESSION_LOG, how it was called."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

LOG = os.environ.get("FAKE_SESSION_LOG")


def note(*words: object) -> None:
    if LOG:
        with open(LOG, "a") as file:
            file.write(json.dumps([os.getpid(), *words]) + "\n")


class Session:
    def __init__(self, options, target):
        self.options, self.target = options, target
        self.folder = Path(os.environ.get("FAKE_SESSION_FOLDER", "/nonexistent"))
        if os.environ.get("FAKE_SESSION_FAULT") == "init":
            raise RuntimeError("planted")

    def start(self):
        note("start", self.target, self.options.launched)
        if os.environ.get("FAKE_SESSION_WRITES"):
            (self.options.out / "run.json").write_text("{}")

    def script_ended(self, status, exit_code, exception):
        note("ended", status, exit_code, type(exception).__name__ if exception else None)

    def finish(self):
        if os.environ.get("FAKE_SESSION_FAULT") == "finish":
            raise RuntimeError("planted")
        note("finish")
        severity = os.environ.get("FAKE_SESSION_FINDING")
        findings = [SimpleNamespace(severity=severity)] if severity else []
        return SimpleNamespace(findings=findings)

    def after_fork_in_child(self):
        note("fork")


def judge_folder(folder, options):
    note("judge", str(folder))
    return SimpleNamespace(findings=[])


def install() -> None:
    module = ModuleType("losscope.watching.session")
    module.Session, module.judge_folder = Session, judge_folder
    sys.modules["losscope.watching.session"] = module


if __name__ == "__main__":
    install()
    from losscope.cli.main import main

    sys.exit(main())
