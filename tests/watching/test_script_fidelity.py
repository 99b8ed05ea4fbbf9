"""``losscope run s.py`` against ``python s.py``: the same stdout, stderr and exit code, byte for byte."""

import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_losscope.py")
SOURCE = Path(__file__).parents[2] / "src"

SCRIPTS = {
    "arguments": "import sys; print(sys.argv, sys.orig_argv[1:], sys.path[0])",
    "names of main": """
        print(list(globals()), __name__, __file__, __doc__, __package__, __spec__, __cached__, __annotations__)
        print(type(__loader__), __loader__.name, __loader__.path, __builtins__)
        """,
    "docstring": '"""What it does."""\nprint(__doc__)',
    "guard": "if __name__ == '__main__':\n    print('main')",
    "import main": "import __main__\nx = 3\nprint(__main__.x, __main__.__file__ == __file__)",
    "pickle": """
        import pickle
        class Model:
            w = 1
        copy = pickle.loads(pickle.dumps(Model()))
        print(copy.w, type(copy) is Model, Model.__module__)
        """,
    "dataclass": """
        from __future__ import annotations
        import dataclasses, typing
        @dataclasses.dataclass
        class Config:
            lr: float = 0.1
            next: Config | None = None
        print(Config(), typing.get_type_hints(Config))
        """,
    "getsource": """
        import inspect
        class A:
            def f(self):
                return 1
        print(inspect.getsource(A), inspect.getsourcefile(A.f), inspect.getmodule(A.f).__name__)
        """,
    "doctest": """
        def double(x):
            '''
            >>> double(2)
            5
            '''
            return 2 * x
        import doctest
        print(doctest.testmod())
        """,
    "unittest": """
        import unittest
        class Case(unittest.TestCase):
            def test(self):
                self.assertEqual(1, 1)
        unittest.main(argv=['x'], testRunner=unittest.TextTestRunner(stream=open('/dev/null', 'w')))
        """,
    "exec other": "exec(open('other.py').read())\nprint(from_other)",
    "runpy other": "import runpy; print(sorted(runpy.run_path('other.py'))[-1])",
    "local import": "import neighbour; print(neighbour.__file__)",
    "module named click": "import click; print(click.LOCAL)",
    "exception": "def f(x):\n    return 1 / x\n\nf(0)",
    "chained": """
        try:
            {}['a']
        except KeyError as error:
            raise RuntimeError('outer') from error
        """,
    "context": """
        try:
            {}['a']
        except KeyError:
            raise RuntimeError('outer')
        """,
    "notes and groups": """
        a = ValueError('a'); a.add_note('hint')
        raise ExceptionGroup('many', [a, TypeError('b')])
        """,
    "base exception": "class Stop(BaseException): pass\nraise Stop('now')",
    "recursion": "def f(): f()\nimport sys; sys.setrecursionlimit(200)\ntry: f()\nexcept RecursionError: print('deep')",
    "syntax error": "x = 1\nfor:\n",
    "late syntax error": "print('a')\nreturn 1\n",
    "indentation": "if True:\n    x = 1\n  y = 2\n",
    "null byte": "x = 1\0\n",
    "warning then syntax error": "x = '\\d'\nfor:\n",
    "syntax warning": "x = 1 is 1\nprint(x)",
    "exit none": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit true": "raise SystemExit(True)",
    "exit 256": "raise SystemExit(256)",
    "exit -1": "raise SystemExit(-1)",
    "exit huge": "raise SystemExit(2**70)",
    "exit text": "import sys; print('o'); sys.exit('failed: é')",
    "exit tuple": "raise SystemExit(1, 2)",
    "exit object": "class A:\n    def __str__(self): raise ValueError\nraise SystemExit(A())",
    "exit in function": "def main():\n    return 4\nraise SystemExit(main())",
    "quit": "quit(5)",
    "os._exit": "import os, sys; print('unflushed', end=''); sys.stderr.write('e'); os._exit(6)",
    "os._exit in handler": "import atexit, os; atexit.register(os._exit, 9)",
    "excepthook": "import sys; sys.excepthook = lambda t, v, tb: print('hook', t, v, tb.tb_lineno)\n1 / 0",
    "excepthook fails": "import sys\ndef hook(*a): raise KeyError('in hook')\nsys.excepthook = hook\n1 / 0",
    "excepthook exits": "import sys\ndef hook(*a): sys.exit(12)\nsys.excepthook = hook\n1 / 0",
    "excepthook exits after interrupt": """
        import sys
        sys.excepthook = lambda *a: sys.exit(12)
        raise KeyboardInterrupt
        """,
    "excepthook deleted": "import sys\ndel sys.excepthook\n1 / 0",
    "last exception": """
        import atexit, sys
        atexit.register(lambda: print(sys.last_type, sys.last_value, sys.last_traceback.tb_frame.f_code.co_name))
        1 / 0
        """,
    "atexit order": """
        import atexit
        atexit.register(print, 'first registered')
        atexit.register(print, 'last registered')
        import threading
        print(threading.main_thread().is_alive())
        atexit.register(lambda: print(threading.main_thread().is_alive()))
        """,
    "atexit fails": "import atexit\ndef bad(): raise ValueError('late')\natexit.register(bad)\nprint('x')",
    "atexit and exception": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "thread outlives main": """
        import threading, time
        def work():
            time.sleep(0.2); print('thread done', flush=True)
        import atexit
        atexit.register(print, 'handlers after threads')
        threading.Thread(target=work).start()
        print('main done', flush=True)
        """,
    "executor": """
        import concurrent.futures as c
        pool = c.ThreadPoolExecutor(1)
        pool.submit(lambda: print('in pool', flush=True))
        raise SystemExit(3)
        """,
    "thread exception": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T')\nt.start(); t.join()",
    "interrupt": "raise KeyboardInterrupt",
    "interrupt by signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)",
    "interrupt caught": """
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            print('saved')
            raise SystemExit(130)
        """,
    "sigterm": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "fork": """
        import os, sys
        child = os.fork()
        if child == 0:
            print('child', flush=True)
            sys.exit(3)
        print('status', os.waitpid(child, 0)[1], flush=True)
        """,
    "fork raises": "import os\nif os.fork() == 0:\n    1 / 0\nprint(os.wait()[1])",
    "fork _exit": "import os\nif os.fork() == 0:\n    os._exit(4)\nprint(os.wait()[1])",
    "exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(1); raise SystemExit(3)'])",
    "exec fails": "import os\ntry: os.execv('/nonexistent', ['x'])\nexcept OSError as e: print(e)\nprint('goes on')",
    "exec fails uncaught": "import os\ndef f(): os.execvp('no-such-program', ['x'])\nf()",
    "exec fails in a chain": """
        import os
        try:
            os.execv('/nonexistent', ['x'])
        except OSError as error:
            raise ExceptionGroup('both', [error, ValueError('v')]) from error
        """,
    "execlp": "import os\nos.execlp('sh', 'sh', '-c', 'echo hi; exit 5')",
    "stdin": "import sys; print(sys.stdin.read())",
    "warnings": """
        import warnings
        for _ in range(3):
            warnings.warn('once')
        warnings.warn('old', DeprecationWarning)
        """,
    "flags": "import sys; print(sys.flags, sys.warnoptions, sys.dont_write_bytecode)",
    "encoding cookie": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))",
    "bom": b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))",
    "not utf-8": b"print('\xe9')\n",
    "carriage returns": b"print(1)\r\nprint('''a\r\nb''')\r\n1 / 0\r\n",
    "environment": "import os; print({k: v for k, v in os.environ.items() if not k.startswith('FAKE')})",
    "del at exit": "class A:\n    def __del__(self): print('gone')\na = A()",
    "stack of functions": """
        import traceback
        def f():
            return [s.name for s in traceback.extract_stack()][-2:]
        print(f())
        """,
    "spawn pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('spawn').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "fork pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('fork').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "forkserver pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('forkserver').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "process exit code": """
        import multiprocessing as mp, sys
        def work():
            sys.exit(7)
        if __name__ == '__main__':
            for method in ('fork', 'spawn'):
                p = mp.get_context(method).Process(target=work); p.start(); p.join(); print(p.exitcode)
        """,
}


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
