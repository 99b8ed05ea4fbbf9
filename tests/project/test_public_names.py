"""The names and the version that other tools rely on."""

import importlib.metadata
import tomllib

import pytest
from source_tree import PACKAGE, ROOT

import losscope

PUBLIC = {
    *(
        "Objective",
        "__version__",
        "audit",
        "estimators",
        "examine",
        "kernels",
        "losses",
        "operators",
        "read",
        "watch",
    ),
}


def test_exported_names_are_exactly_these() -> None:
    assert set(losscope.__all__) == PUBLIC
    assert set(dir(losscope)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(losscope, name)
    assert (value.__doc__ or "").strip()
    assert getattr(losscope, name) is value


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reed'"):
        losscope.reed  # noqa: B018


def test_no_room_bears_the_name_of_a_public_function() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert rooms & {"audit", "watch", "examine", "read"} == set()


def test_there_is_one_version() -> None:
    from losscope.core.verdict import Verdict

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["version"]["path"] == "src/losscope/__init__.py"
    assert Verdict.__dataclass_fields__["losscope"].default == losscope.__version__
    try:
        installed = importlib.metadata.version("losscope")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("losscope is not installed here: run through PYTHONPATH")
    assert installed == losscope.__version__


def test_the_type_marker_is_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
