"""Processes that start with torch already loaded: forked from one that only imported it.

Importing torch and what its optimisers need takes seconds, and hundreds of tests need a process of their own.
Real starts, import order included, are the affair of test_script_fidelity and test_script_import_hook, and of
``make thorough``.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Server:
    """Runs python command lines in forks of one process, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.close)

    def run(self, words, cwd, environment) -> subprocess.CompletedProcess:
        """``python`` with ``words``, a script or ``-m module`` and its arguments."""
        words = [str(word) for word in words]
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("out", "err")]
            request = {
                "words": words,
                "cwd": str(cwd),
                "environment": environment,
                "files": [*map(str, files)],
            }
            assert self._process.stdin is not None and self._process.stdout is not None
            print(json.dumps(request), file=self._process.stdin, flush=True)
            status = int(self._process.stdout.readline())
            output, errors = (file.read_text() for file in files)
        return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(status), output, errors)

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@functools.cache
def server() -> Server:
    """The one of this test process."""
    return Server()


def _serve() -> dict:
    """Wait for requests; in each fork, return what it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            for stream, path in zip((1, 2), request["files"], strict=True):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdin = open(0)  # noqa: SIM115  as in a process of its own
            return request
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()
    os._exit(0)


def _become(request: dict) -> None:
    """Run a command line as a fresh interpreter would."""
    import runpy

    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    words = request["words"]
    if words[0] == "-m":
        sys.argv, sys.path[0] = words[1:], request["cwd"]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    import scipy.special  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch._dynamo  # noqa: F401

    _become(_serve())
