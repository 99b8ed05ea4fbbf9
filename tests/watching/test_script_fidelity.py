"""``losscope run s.py`` against ``python s.py``: the same stdout, stderr and exit code, byte for byte."""

import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from fidelity_scripts import SCRIPTS

FAKE = Path(__file__).with_name("fake_losscope.py")
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "other.py").write_text("from_other = __name__\n")
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "click.py").write_text("LOCAL = True\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("print('package', __name__)\n")
    (package / "sibling.py").write_text("value = 5\n")
    (package / "__main__.py").write_text(
        "from .sibling import value\nimport sys\nprint(value, sys.argv, __name__)\n"
    )
    (package / "fails.py").write_text("import sys\nprint(__spec__.name, __package__, sys.path[0])\n1 / 0\n")
    (package / "broken.py").write_text("for:\n")
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text(
        "import sys, helper\nprint(sys.argv, sys.path[0], __spec__, __file__, __package__)\n1 / 0\n"
    )
    (tmp_path / "program" / "helper.py").write_text("")
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        for file in (tmp_path / "program").iterdir():
            archive.write(file, file.name)
    return tmp_path


def run(words: list[str | bytes], folder: Path, **environment: str) -> tuple[bytes, bytes, int]:
    """Run a command in ``folder`` and return ``(stdout, stderr, exit code)``."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        words,
        cwd=folder,
        env=env | environment,
        input=b"typed\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    address = rb"0x[0-9a-f]{8,}"
    return re.sub(address, b"0x", done.stdout), re.sub(address, b"0x", done.stderr), done.returncode


def both(folder: Path, *words: str | bytes, flags: tuple[str, ...] = (), **environment: str) -> tuple:
    """What python does with these words, and what losscope does."""
    python = run([sys.executable, *flags, *words], folder, **environment)
    ours = run([sys.executable, *flags, str(FAKE), "run", *words], folder, **environment)
    return python, ours


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_run_as_python_runs_it(name: str, folder: Path) -> None:
    content = SCRIPTS[name]
    content = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
    (folder / "s.py").write_bytes(content)
    python, ours = both(folder, "s.py", "--lr", "-0.1")
    assert ours == python


ARGUMENTS = [
    ["--help"],
    ["--out", "x", "--version"],
    ["--", "a"],
    ["-m", "b", "--"],
    ["-1", "-1e-3"],
    ["", " ", "a b", "*"],
    [b"\xff\xfe", "é"],
    ["@file", "=", "--x=1", "-"],
]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_arguments_pass_through_untouched(arguments: list[str | bytes], folder: Path) -> None:
    (folder / "s.py").write_text("import sys; print(ascii(sys.argv))")
    python, ours = both(folder, "s.py", *arguments)
    assert ours == python
    python, ours = both(folder, "-m", "s", *arguments)
    assert ours == python


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "package"],
        ["-m", "package.fails", "x"],
        ["-mpackage"],
        ["-m", "package.broken"],
        ["-m", "click"],
        ["program"],
        ["program/", "a"],
        ["./program"],
        ["program.zip", "-h"],
    ],
    ids=str,
)
def test_modules_folders_and_archives(words: list[str], folder: Path) -> None:
    python, ours = both(folder, *words)
    assert ours == python


@pytest.mark.parametrize("path", ["s.py", "./s.py", "deep/../s.py", "deep/link.py", "deep/link2.py"])
def test_paths_are_reported_as_given(path: str, folder: Path) -> None:
    (folder / "s.py").write_text("import sys; print(sys.argv, __file__, sys.path[0]); 1 / 0")
    (folder / "deep").mkdir()
    (folder / "deep" / "link.py").symlink_to("../s.py")
    (folder / "deep" / "link2.py").symlink_to("link.py")
    python, ours = both(folder, path)
    assert ours == python
    python, ours = both(folder, str(folder / path))
    assert ours == python


def test_compiled_script(folder: Path) -> None:
    (folder / "s.py").write_text("print(__file__, __cached__, type(__loader__), __spec__)\n1 / 0\n")
    run([sys.executable, "-c", "import py_compile; py_compile.compile('s.py', 's.pyc')"], folder)
    (folder / "t.pyc").write_bytes(b"\0\0\0\0" * 5)
    (folder / "no_suffix").write_bytes((folder / "s.pyc").read_bytes())
    for name in ("s.pyc", "t.pyc", "no_suffix"):
        python, ours = both(folder, name)
        assert ours == python


@pytest.mark.parametrize(
    "flags", [["-O"], ["-X", "dev"], ["-W", "error"], ["-P"], ["-u", "-B"], ["-bb"]], ids=str
)
def test_interpreter_flags(flags: list[str], folder: Path) -> None:
    (folder / "s.py").write_text(
        "import sys\nprint(sys.flags, sys.warnoptions, sys.path[0], sys.orig_argv[1:])\nassert 0\nx = '\\d'\nfor_ = 1\n"
    )
    (folder / "bad.py").write_text("assert 0\nx = '\\d'\nfor:\n")
    for name in ("s.py", "bad.py"):
        python, ours = both(folder, name, flags=tuple(flags))
        assert ours == python


def test_safe_path_from_the_environment(folder: Path) -> None:
    (folder / "s.py").write_text("import sys; print(sys.path)")
    python, ours = both(folder, "s.py", PYTHONSAFEPATH="1")
    assert ours == python


def test_broken_pipe(folder: Path) -> None:
    (folder / "s.py").write_text("print('x' * 10)\n")
    results = []
    for start in ([sys.executable], [sys.executable, str(FAKE), "run"]):
        read, write = os.pipe()
        os.close(read)
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [*start, "s.py"],
            cwd=folder,
            env=env,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(write)
        results.append((done.returncode, done.stderr))
    assert results[0] == results[1]
    assert results[0][0] == 120


NAIVE = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
TELLING = [
    "names of main",
    "arguments",
    "exception",
    "syntax error",
    "late syntax error",
    "null byte",
    "not utf-8",
]


@pytest.mark.parametrize("name", TELLING)
def test_the_comparison_rejects_a_naive_runner(name: str, folder: Path) -> None:
    """``runpy.run_path`` in a process of its own is the usual shortcut; the scripts above tell it from python."""
    content = SCRIPTS[name]
    content = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
    (folder / "s.py").write_bytes(content)
    python = run([sys.executable, "s.py"], folder)
    assert run([sys.executable, "-c", NAIVE, "s.py"], folder) != python
