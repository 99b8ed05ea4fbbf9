"""What is shipped and what is installed: the wheel is complete, the pins are exact and carry no address."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from source_tree import PACKAGE, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
TRAINING = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(30):
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(torch.ones(8, 4)), torch.ones(8, 1)).backward()
    optimizer.step()
"""
SET_UP_FILES = ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> set[str]:
    """Names of everything that pyproject.toml asks for, in dependencies, extras and groups."""
    lists = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return {
        canonical(re.split(r"[^\w.-]", r, maxsplit=1)[0])
        for group in lists
        for r in group
        if isinstance(r, str)
    }


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    shipped = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - shipped == set()
    info = f"losscope-{builder.metadata.version}.dist-info"
    assert {name.partition("/")[0] for name in shipped - expected} == {info}


def test_every_requirement_has_one_exact_pin() -> None:
    names = [canonical(pin.partition("==")[0]) for pin in PINS]
    assert [pin for pin in PINS if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert len(set(names)) == len(names)
    assert requirements() - set(names) == set()
    assert "torch==2.13.0" in PINS
    assert "torchvision" not in names


@pytest.mark.parametrize("name", SET_UP_FILES)
def test_set_up_names_no_index_and_no_machine(name: str) -> None:
    machine = r"(?<![\w.])/(?:opt|home|root|work)/"
    address = r"--(?:extra-)?index-url|--find-links|https?://\S+/simple"
    assert re.findall(f"{address}|{machine}", (ROOT / name).read_text()) == []


def test_the_wheel_runs_away_from_the_checkout(tmp_path: Path) -> None:
    """What is shipped is enough: a script is run and judged, and its report written, from the wheel alone."""
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    script = tmp_path / "train.py"
    script.write_text("import losscope\nprint(losscope.__file__)\n" + TRAINING)
    words = [sys.executable, "-P", "-m", "losscope", "run", "--out", str(tmp_path / "run"), str(script)]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(installed / "losscope/__init__.py")
    assert "<html" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert (installed / "losscope/demo_scripts/train_digits.py").is_file()
