"""What an import costs: ``import losscope`` loads nothing heavy, and whole rooms work without torch."""

import json
import subprocess
import sys

import pytest
from source_tree import packages, sources

TORCH_FREE_ROOMS = ("core", "recording", "rules", "report", "serve", "cli")
HEAVY = {"torch", "numpy", "scipy", "jinja2", "rich", "click", "asyncio", "multiprocessing"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that running ``code`` in a fresh interpreter adds to ``sys.modules``."""
    program = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{code}\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(room: str) -> list[str]:
    return [s.module for s in sources() if s.room == room]


def test_import_losscope_is_light() -> None:
    added = loaded_by("import losscope")
    assert "losscope" in added
    assert added & HEAVY == set()
    assert {name for name in added if name not in sys.stdlib_module_names} == {"losscope"}


@pytest.mark.parametrize("room", [r for r in TORCH_FREE_ROOMS if f"losscope.{r}" in packages()])
def test_room_imports_without_torch(room: str) -> None:
    code = "from importlib import import_module\n" + "\n".join(
        f"import_module({name!r})" for name in modules_of(room)
    )
    assert "torch" not in loaded_by(code)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["--version"], ["losses"], ["losses", "--family", "detection"]),
        *(["losses", "--family", "nowhere"], ["losses", "hubert"]),
    ],
)
def test_names_and_help_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import runpy\n"
        f"sys.argv = ['losscope', *{arguments!r}]\n"
        "try:\n    runpy.run_module('losscope', run_name='__main__', alter_sys=False)\n"
        "except SystemExit as end:\n    assert end.code in (0, None, 2), end.code"
    )
    assert loaded_by(code) & {"torch", "scipy", "numpy"} == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import numpy")
