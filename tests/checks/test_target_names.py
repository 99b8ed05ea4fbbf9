"""What names a loss, and what is told where something names none: the nearest name, what a module holds, the line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from losscope.checks.target import in_catalogue, resolve
from losscope.core.errors import BadUsage
from losscope.core.importing import imported
from losscope.losses.catalogue import importable, specs

LOSSES = """
import torch

def rmse(pred, target):
    return (pred - target).square().mean().sqrt()

class Focal(torch.nn.Module):
    def forward(self, logits, target):
        return torch.nn.functional.cross_entropy(logits, target)

class FailsToBuild:
    def __init__(self):
        self.table = {}["missing"]

    def __call__(self, a, b):
        return a
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a package of losses; nothing of it stays imported."""
    (tmp_path / "ourpkg").mkdir()
    (tmp_path / "ourpkg" / "__init__.py").write_text("")
    (tmp_path / "ourpkg" / "losses.py").write_text(LOSSES)
    (tmp_path / "needs.py").write_text("import torch\n\nimport no_such_thing\n")
    (tmp_path / "divides.py").write_text("import json\nfrom math import sqrt\n\nx = json.loads('}')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ourpkg", "needs", "divides")]:
        del sys.modules[name]


@pytest.mark.parametrize("text", ["ourpkg/losses.py:rmse", "ourpkg.losses:rmse", "./ourpkg/losses.py:rmse"])
def test_a_file_is_a_module(text: str, folder: Path) -> None:
    del folder
    assert resolve(text).name == "ourpkg.losses.rmse"
    assert imported(text, "").__name__ == "rmse"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ourpkg/loss.py:rmse", ("no such file", "did you mean ourpkg/losses.py")),
        ("elsewhere/loss.py:rmse", ("no such file", "files are looked for from")),
        ("ourpkg/losses:rmse", ("no such file", "did you mean ourpkg/losses.py")),
        ("ourpkg.losses:rsme", ("has no rsme", "did you mean rmse?")),
        ("ourpkg.losses:zzz", ("has no zzz", "it holds ourpkg.losses:rmse, ourpkg.losses:Focal")),
        ("ourpkg.losses", ("not named", "it holds ourpkg.losses:rmse, ourpkg.losses:Focal")),
        ("ourpkg/losses.py", ("not named", "it holds ourpkg.losses:rmse, ourpkg.losses:Focal")),
        ("ourpkg", ("not named", "it holds ourpkg.losses")),
        ("ourpkg.losses.rmse", ("did you mean ourpkg.losses:rmse?",)),
        ("ourpkg.lossess:rmse", ("no module ourpkg.lossess", "did you mean ourpkg.losses?")),
        ("oupkg.losses:rmse", ("no module oupkg", "did you mean ourpkg?")),
        ("torch.nn", ("it holds torch.nn:",)),
        ("cross_entropy", ("torch.nn.functional:cross_entropy", "torch.nn:CrossEntropyLoss")),
        ("cross_entropy(label_smoothing=0.1)", ("audit torch.nn.functional:cross_entropy",)),
        ("Dice Loss", ("is a loss of the catalogue", "losscope.losses:dice_loss")),
        ("xyzzyplugh", ("names nothing", "package.module:Loss, folder/file.py:Loss")),
        ("needs:loss", ("needs cannot be imported", "no module no_such_thing, at needs.py:3")),
        ("divides:loss", ("JSONDecodeError", "at divides.py:4")),
        ("ourpkg.losses:FailsToBuild", ("could not be built", "at ourpkg/losses.py:13")),
    ],
)  # fmt: skip
def test_what_names_no_loss_is_told_what_does(text: str, said: tuple[str, ...], folder: Path) -> None:
    del folder
    with pytest.raises(BadUsage) as caught:
        resolve(text)
    told = str(caught.value)
    assert [part for part in said if part not in told] == [], told
    assert "\n" not in told


def test_every_loss_of_the_catalogue_that_has_a_function_can_be_named() -> None:
    for name, spec in specs().items():
        if spec.function is not None:
            path = importable(spec.function) or importable(spec.module)
            assert imported(path, "") in (spec.function, spec.module), name
            assert path in in_catalogue(name)
