"""The architecture holds: layers, torch-free rooms, bare package markers, no imports from them."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from source_tree import PACKAGE, ROOT, Source, packages, sources

TORCH_FREE_ROOMS = {"core", "recording", "rules", "report", "serve"}
# Frameworks that a user may not have installed: only these may be imported inside a function.
OPTIONAL_FRAMEWORKS = {
    *("accelerate", "keras", "lightning", "transformers"),
    *("matplotlib", "sklearn", "starlette", "uvicorn"),
}


def packages_with_code(files: list[Source]) -> list[str]:
    """Packages whose ``__init__`` holds anything but a docstring."""
    return [
        s.module
        for s in files
        if s.is_package and not (len(s.tree.body) == 1 and ast.get_docstring(s.tree, clean=False))
    ]


def imports_from_packages(files: list[Source]) -> list[str]:
    """Imports of a name that lives in a package's ``__init__`` rather than in a module."""
    modules, markers = {s.module for s in files}, {s.module for s in files if s.is_package}
    return [
        f"{s.module}:{i.line} from {i.target} import {i.name}"
        for s in files
        for i in s.imports()
        if i.target in markers and i.name is not None and f"{i.target}.{i.name}" not in modules
    ]


def lazy_imports(files: list[Source]) -> list[str]:
    """Imports inside functions, but for these: optional frameworks, the rooms that a command calls, a stated reason.

    A command loads the rooms that it calls when it runs, so that help and wrong usage are answered at once.
    ``# lazy: reason`` on the line of the import states a reason: a runner, for instance, must not change
    what the user's script finds in ``sys.modules``.
    """
    return [
        f"{s.module}:{i.line} {i.target}"
        for s in files
        for i in s.imports()
        if i.lazy
        and i.target.partition(".")[0] not in OPTIONAL_FRAMEWORKS
        and not (s.room == "cli" and i.target.startswith("losscope."))
        and "# lazy: " not in s.text.splitlines()[i.line - 1]
    ]


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the project's contracts over the package below ``source``."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=source.parent,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_public_namespaces_hold_code() -> None:
    """The root, and the rooms whose contents users call by name."""
    named = ["losscope", "losscope.estimators", "losscope.kernels", "losscope.losses", "losscope.operators"]
    assert packages_with_code(sources()) == named


def test_nothing_imports_from_a_package_marker() -> None:
    found = imports_from_packages(sources())
    # The version is the one name that exists nowhere else.
    assert [line for line in found if not line.endswith("from losscope import __version__")] == []


def test_imports_are_at_the_top() -> None:
    assert lazy_imports(sources()) == []


def test_every_torch_free_room_is_under_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = {room for c in contracts if c["id"] == "torch-free" for room in c["source_modules"]}
    assert {f"losscope.{room}" for room in TORCH_FREE_ROOMS} & packages() == held


PLANTED = {
    "upwards": ("core/text.py", "import losscope.recording.signals", "Rooms import only"),
    "torch": ("core/text.py", "import torch", "without torch"),
    "torch inside a function": ("recording/signals.py", "def f():\n    import torch", "without torch"),
    "unlisted room": (
        "unlisted/__init__.py",
        '"""Not in the design."""',
        "Rooms import only",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_contracts_catch_a_planted_violation(name: str, tmp_path: Path) -> None:
    path, line, contract = PLANTED[name]
    shutil.copytree(PACKAGE, tmp_path / "src/losscope", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "src/losscope" / path
    planted.parent.mkdir(exist_ok=True)
    planted.write_text((planted.read_text() if planted.exists() else "") + f"\n{line}\n")
    done = lint_imports(tmp_path / "src")
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in text and text.endswith("BROKEN") for text in done.stdout.splitlines()), done.stdout


def test_the_style_checks_catch_planted_violations() -> None:
    marker = Source("losscope.room", '"""A room."""\nimport os\n', is_package=True)
    inside = Source("losscope.room.inside", "VALUE = 1\n")
    user = Source(
        "losscope.room.user",
        "from . import inside\nfrom losscope.room import os\n"
        "def f():\n    import json\n    import lightning\n    import torch  # lazy: the reason\n",
    )
    assert packages_with_code([marker, inside]) == ["losscope.room"]
    found = imports_from_packages([marker, inside, user])
    assert found == ["losscope.room.user:2 from losscope.room import os"]
    assert lazy_imports([user]) == ["losscope.room.user:4 json"]
    command = Source("losscope.cli.x", "def command():\n    import losscope.rules.judge\n    import json\n")
    assert lazy_imports([command]) == ["losscope.cli.x:3 json"]
