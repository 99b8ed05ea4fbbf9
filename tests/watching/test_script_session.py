"""What the session is told, and when; what the exit code is; what a fault of ours may not do."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_losscope.py")
SOURCE = Path(__file__).parents[2] / "src"


class Result:
    def __init__(self, done: subprocess.CompletedProcess, log: Path) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        lines = log.read_text().splitlines() if log.exists() else []
        self.calls = [json.loads(line) for line in lines]

    def names(self) -> list[str]:
        return [call[1] for call in self.calls]


@pytest.fixture
def watch(tmp_path: Path):
    def start(script: str, *options: str, **environment: str) -> Result:
        (tmp_path / "s.py").write_text(textwrap.dedent(script))
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "FAKE_SESSION_LOG": str(tmp_path / "log"),
        }
        done = subprocess.run(
            [sys.executable, str(FAKE), "run", *options, "s.py"],
            cwd=tmp_path,
            env=env | environment,
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        return Result(done, tmp_path / "log")

    return start


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("pass", ["finished", 0, None]),
        ("raise SystemExit(3)", ["exit", 3, "SystemExit"]),
        ("raise SystemExit('no')", ["exit", 1, "SystemExit"]),
        ("1 / 0", ["exception", 1, "ZeroDivisionError"]),
        ("raise KeyboardInterrupt", ["interrupted", 130, "KeyboardInterrupt"]),
        ("import os; os._exit(4)", ["killed-by-exit", 4, None]),
        ("import os; os.execlp('true', 'true')", ["killed-by-exit", 0, None]),
        ("import atexit, os; atexit.register(os._exit, 4)", ["finished", 4, None]),
        ("import os\nif os.fork() == 0: raise SystemExit(9)\nos.wait()", ["finished", 0, None]),
        ("import os\nif os.fork() == 0: os._exit(9)\nos.wait()", ["finished", 0, None]),
        ("import os\nif os.fork() == 0: 1 / 0\nos.wait()", ["finished", 0, None]),
    ],
)
def test_every_ending_is_told_once_and_judged_once(watch, script: str, ended: list) -> None:
    result = watch(script)
    own = [call[1:] for call in result.calls if call[0] == result.calls[0][0]]
    assert own == [["start", "s.py", False], ["ended", *ended], ["finish"]]
    others = [call for call in result.calls if call[0] != result.calls[0][0]]
    assert [call[1] for call in others] == ["fork"] * ("fork" in script)


def test_verdict_comes_after_threads_and_exit_handlers(watch) -> None:
    result = watch("""
        import atexit, os, sys, threading, time
        def note(text):
            with open(os.environ["FAKE_SESSION_LOG"], "a") as file:
                file.write('[0, "%s"]\\n' % text)
        atexit.register(note, "handler")
        threading.Thread(target=lambda: (time.sleep(0.1), note("thread"))).start()
        note("main")
        """)
    assert result.names() == ["start", "main", "thread", "handler", "ended", "finish"]


@pytest.mark.parametrize(
    ("fail_on", "finding", "script_code", "expected"),
    [
        ("error", "error", 0, 20),
        ("error", "warning", 0, 0),
        ("warning", "warning", 0, 20),
        ("warning", "error", 0, 20),
        ("warning", "info", 0, 0),
        ("never", "error", 0, 0),
        ("error", "error", 3, 3),
    ],
)
@pytest.mark.parametrize("way", ["sys.exit", "os._exit"])
def test_gate(watch, way: str, *, fail_on: str, finding: str, script_code: int, expected: int) -> None:
    result = watch(
        f"import os, sys; {way}({script_code})", "--fail-on", fail_on, FAKE_SESSION_FINDING=finding
    )
    assert result.code == expected


@pytest.mark.parametrize("fault", ["init", "finish"])
def test_our_fault_costs_one_line_and_nothing_else(watch, fault: str) -> None:
    result = watch("print('trained'); raise SystemExit(5)", FAKE_SESSION_FAULT=fault)
    assert (result.out, result.code) == ("trained\n", 5)
    assert result.err.startswith("losscope: ") and result.err.count("\n") == 1


def test_missing_module_gives_no_verdict(watch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "__init__.py").write_text("")
    for name in ("nope", "nope.sub", "empty", "empty.nope"):
        result = watch("", "-m", name)
        assert result.code == 2
        assert result.err.startswith("losscope: No module named ") and result.err.count("\n") == 1
        assert "finish" not in result.names()


def test_syntax_error_starts_no_session(watch) -> None:
    result = watch("for:\n")
    assert result.code == 1 and result.calls == [] and "SyntaxError" in result.err


def test_interrupt_from_outside_gives_a_verdict_and_dies_of_the_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "s.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(30)\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "FAKE_SESSION_LOG": str(log)}
    with subprocess.Popen(
        [sys.executable, str(FAKE), "run", "s.py"], cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "up\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
        assert process.wait(30) == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt") and "losscope" not in errors
    assert [json.loads(line)[1:] for line in log.read_text().splitlines()][1:] == [
        ["ended", "interrupted", 130, "KeyboardInterrupt"],
        ["finish"],
    ]


def test_failed_exec_keeps_the_watch(watch) -> None:
    result = watch(
        "import os\ntry: os.execv('/nonexistent', ['x'])\nexcept OSError: pass\nraise SystemExit(2)"
    )
    assert result.calls[1][1:] == ["ended", "exit", 2, "SystemExit"]


def test_os_functions_keep_their_faces(watch) -> None:
    result = watch("""
        import os, pickle
        print(os._exit.__name__, os.execv.__name__, os.execve.__qualname__, bool(os._exit.__doc__))
        try:
            os._exit("x")
        except TypeError as error:
            print(error)
        """)
    assert result.out == "_exit execv execve True\n'str' object cannot be interpreted as an integer\n"
