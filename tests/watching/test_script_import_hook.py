"""The import hook: after the module, once, whatever probes came before, and invisible in tracebacks."""

import importlib
import importlib.util
import sys
import traceback
import zipfile
from pathlib import Path

import pytest

from losscope.watching.import_hook import WhenImported, when_imported


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a module ``hooked_NAME`` that is importable and forgotten after the test."""
    names: list[str] = []

    def write(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        names.append(name)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in names:
        sys.modules.pop(name, None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, WhenImported)]


def test_action_comes_after_the_module_and_once(module) -> None:
    name, seen = module("hooked_plain", "value = 3\n"), []
    finder = when_imported(name, lambda m: seen.append(m.value))
    assert finder in sys.meta_path
    for _ in range(2):
        assert importlib.util.find_spec(name) is not None
    assert seen == []
    imported = importlib.import_module(name)
    assert seen == [3] and finder not in sys.meta_path
    assert "exec_module" not in vars(imported.__loader__)
    importlib.reload(imported)
    assert seen == [3]


def test_imported_already(module) -> None:
    name, seen = module("hooked_early", ""), []
    importlib.import_module(name)
    assert when_imported(name, seen.append) is None
    assert seen == [sys.modules[name]]


@pytest.mark.parametrize("error", ["RuntimeError", "ImportError"])
def test_failing_import_looks_the_same_and_may_be_tried_again(module, error: str) -> None:
    name = module(f"hooked_{error}", f"raise {error}('broken')\n")

    def frames() -> list[str]:
        with pytest.raises(Exception, match="broken") as caught:
            exec(f"import {name}")
        return [
            f"{frame.filename}:{frame.name}" for frame in traceback.extract_tb(caught.value.__traceback__)
        ][1:]

    plain, seen = frames(), []
    when_imported(name, seen.append)
    assert frames() == plain
    module(name, "fixed = True\n")
    importlib.import_module(name)
    assert len(seen) == 1


def test_fault_of_the_action_is_one_line(module, capsys) -> None:
    name = module("hooked_fault", "value = 1\n")
    when_imported(name, lambda m: 1 / 0)
    assert importlib.import_module(name).value == 1
    assert (
        capsys.readouterr().err == f"losscope: cannot watch {name}: ZeroDivisionError('division by zero')\n"
    )


def test_modules_of_one_archive_are_told_apart(tmp_path: Path, module, monkeypatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("hooked_zip.py", "import hooked_zip_other\n")
        archive.writestr("hooked_zip_other.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "a.zip"))
    seen = []
    when_imported("hooked_zip", lambda m: seen.append(m.__name__))
    importlib.util.find_spec("hooked_zip")
    importlib.import_module("hooked_zip_other")
    assert seen == []
    importlib.import_module("hooked_zip")
    assert seen == ["hooked_zip"]
    del sys.modules["hooked_zip"], sys.modules["hooked_zip_other"]


def test_modules_found_by_a_finder_of_their_own(module) -> None:
    """As editable installs are."""
    name, seen = "hooked_virtual", []

    class Finder:
        @staticmethod
        def find_spec(fullname, path, target=None):
            return importlib.util.spec_from_loader(name, Loader()) if fullname == name else None

    class Loader:
        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            module.value = 7

    sys.meta_path.append(Finder)
    try:
        when_imported(name, lambda m: seen.append(m.value))
        importlib.import_module(name)
    finally:
        sys.meta_path.remove(Finder)
        sys.modules.pop(name, None)
    assert seen == [7]
