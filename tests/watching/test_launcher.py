"""Launchers: the watch reaches what trains below them, and their exit codes and signals pass through."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_losscope.py")
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose own ``sitecustomize`` puts the fake session into every python, and a fake torch."""
    site = tmp_path / "site"
    (site / "torch" / "utils" / "data").mkdir(parents=True)
    (site / "torch" / "__init__.py").write_text("")
    (site / "sitecustomize.py").write_text("import fake_losscope\nfake_losscope.install()\nchained = True\n")
    python_path = os.pathsep.join([str(site), str(FAKE.parent), str(SOURCE)])
    bin_folder = str(Path(sys.executable).parent)
    return {
        "PATH": bin_folder + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": python_path,
        "FAKE_SESSION_LOG": str(tmp_path / "log"),
        "FAKE_SESSION_WRITES": "1",
    }


def launch(
    folder: Path, environment: dict[str, str], *words: str
) -> tuple[subprocess.CompletedProcess, list]:
    done = subprocess.run(
        [sys.executable, str(FAKE), "run", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    log = folder / "log"
    return done, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def calls_of(calls: list, name: str) -> list:
    return [call[2:] for call in calls if call[1] == name]


def test_python_below_a_shell_is_watched_and_judged_afterwards(tmp_path: Path, environment: dict) -> None:
    (tmp_path / "train.py").write_text("import sys, torch\nprint(sys.argv[1:])\nsys.exit(3)\n")
    (tmp_path / "train.sh").write_text("python train.py --lr 1 || exit 5\n")
    done, calls = launch(tmp_path, environment, "--", "bash", "train.sh")
    assert (done.stdout, done.returncode) == ("['--lr', '1']\n", 5)
    assert calls_of(calls, "start") == [["train.py", True]]
    assert [call[1] for call in calls] == ["start", "ended", "finish", "judge"]
    assert len({call[0] for call in calls}) == 2


def test_python_that_never_imports_torch_has_no_session(tmp_path: Path, environment: dict) -> None:
    done, calls = launch(tmp_path, environment, "--", "python", "-c", "import json")
    assert done.returncode == 0 and calls == []
    assert done.stderr == "losscope: no python process that trained was reached below 'python'\n"
    assert not list((tmp_path / ".losscope").glob("*/*"))
    assert len(list((tmp_path / ".losscope").iterdir())) == 1  # .gitignore


def test_children_see_their_own_path_and_site(tmp_path: Path, environment: dict) -> None:
    code = "import sys, sitecustomize, torch; print(sitecustomize.chained, [p for p in sys.path if 'startup' in p])"
    done, _ = launch(tmp_path, environment, "--", "python", "-c", code)
    assert done.stdout == "True []\n"


def test_grandchildren_are_reached(tmp_path: Path, environment: dict) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import torch'])"
    _, calls = launch(tmp_path, environment, "--", "python", "-c", code)
    assert calls_of(calls, "start") == [["-c", True]]


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("import torch", ["finished", None, None]),
        ("import torch; 1 / 0", ["exception", 1, "ZeroDivisionError"]),
        ("import torch, os; os._exit(3)", ["killed-by-exit", 3, None]),
        ("import torch; raise KeyboardInterrupt", ["interrupted", 130, "KeyboardInterrupt"]),
    ],
)
def test_endings_of_launched_processes(tmp_path: Path, environment: dict, code: str, ended: list) -> None:
    _, calls = launch(tmp_path, environment, "--", "python", "-c", code)
    assert calls_of(calls, "ended") == [ended]
    assert len(calls_of(calls, "finish")) == 1


def test_probing_for_torch_neither_starts_nor_defeats_the_watch(tmp_path: Path, environment: dict) -> None:
    probe = "import importlib.util as u; u.find_spec('torch'); u.find_spec('torch')"
    _, calls = launch(tmp_path, environment, "--", "python", "-c", probe)
    assert calls == []
    _, calls = launch(tmp_path, environment, "--", "python", "-c", probe + "; import torch")
    assert len(calls_of(calls, "start")) == 1


def test_forked_children_of_a_launched_process_stay_silent(tmp_path: Path, environment: dict) -> None:
    fork = "if os.fork() == 0: {}\nos.wait()\n"
    code = "import torch, os\n" + fork.format("raise SystemExit(3)") + fork.format("os._exit(1)")
    _, calls = launch(tmp_path, environment, "--", "python", "-c", code)
    assert len(calls_of(calls, "finish")) == 1 and len(calls_of(calls, "fork")) == 2


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_codes(tmp_path: Path, environment: dict, command: str, code: int) -> None:
    done, _ = launch(tmp_path, environment, "--", "sh", "-c", command)
    assert done.returncode == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(tmp_path: Path, environment: dict, number: int) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda n, f: sys.exit(40 + n))\n"
        "print('up', flush=True)\ntime.sleep(30)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(FAKE), "run", "--", "python", "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout and process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(30) == 40 + number


def test_a_signal_to_the_whole_group_reaches_the_launcher_once(tmp_path: Path, environment: dict) -> None:
    """What a terminal does on Ctrl-C. A killed group looks like two senders, so a real terminal is used."""
    pty = pytest.importorskip("pty")
    code = (
        "import signal, time\nseen = []\nsignal.signal(2, lambda n, f: seen.append(n))\n"
        "print('up', flush=True)\n"
        "end = time.monotonic() + 1.0\nwhile time.monotonic() < end: time.sleep(0.05)\n"
        "print('seen', len(seen), flush=True)\n"
    )
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        words = [sys.executable, str(FAKE), "run", "--", "python", "-c", code]
        os.execve(sys.executable, words, environment)
    output = b""
    while b"up" not in output:
        output += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while b"seen" not in output or not output.endswith(b"\n"):
        output += os.read(terminal, 1000)
    os.waitpid(process, 0)
    os.close(terminal)
    assert b"seen 1" in output


def test_missing_commands_are_one_line(tmp_path: Path, environment: dict) -> None:
    (tmp_path / "train.py").write_text("")
    for words, hint in (
        (["--", "no-such-launcher"], ""),
        (["--", "train.py"], "leave out the --"),
        (["--"], ""),
    ):
        done, _ = launch(tmp_path, environment, *words)
        assert done.returncode == 2 and hint in done.stderr
        assert done.stderr.startswith("losscope: ") and done.stderr.count("\n") == 1


def test_unwritable_folder_runs_unwatched(tmp_path: Path, environment: dict) -> None:
    (tmp_path / "file").write_text("")
    done, calls = launch(
        tmp_path, environment, "--out", "file/run", "--", "python", "-c", "import torch; print(1)"
    )
    assert (done.stdout, done.returncode, calls) == ("1\n", 0, [])
    assert done.stderr.startswith("losscope: cannot write a record to file")


def test_second_run_in_one_folder_gets_its_own(tmp_path: Path, environment: dict) -> None:
    for _ in range(2):
        launch(tmp_path, environment, "--out", "run", "--", "python", "-c", "import torch")
    done, calls = launch(tmp_path, environment, "--out", "run", "--", "python", "-c", "import torch")
    folders = [call[0] for call in calls_of(calls, "judge")]
    assert len(set(folders)) == 3 and folders[0] == str(tmp_path / "run")
    assert "holds a run already" in done.stderr


def test_options_reach_the_children(tmp_path: Path, environment: dict) -> None:
    code = (
        "import torch, os; print({k: v for k, v in sorted(os.environ.items()) if k.startswith('LOSSCOPE')})"
    )
    words = ["--out", "r", "--budget", "1.5", "--lang", "zh", "--ignore", "non-finite,converged", "--"]
    done, _ = launch(tmp_path, environment, *words, "python", "-c", code)
    assert "'LOSSCOPE_BUDGET': '1.5'" in done.stdout and "'LOSSCOPE_LANG': 'zh'" in done.stdout
    assert f"'LOSSCOPE_RUN': '{tmp_path}/r'" in done.stdout
    assert "'LOSSCOPE_IGNORE': 'non-finite,converged'" in done.stdout


def test_losscope_run_below_a_launcher_records_once_and_leaves_the_verdict(
    tmp_path: Path, environment: dict
) -> None:
    (tmp_path / "train.py").write_text("import torch\nraise SystemExit(4)\n")
    inner = [sys.executable, str(FAKE), "run", "train.py"]
    done, calls = launch(tmp_path, environment, "--out", "r", "--", *inner)
    assert done.returncode == 4
    assert calls_of(calls, "start") == [["train.py", True]]
    assert calls_of(calls, "judge") == [[str(tmp_path / "r")]]
