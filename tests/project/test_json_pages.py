"""The pages on the JSON of ``losscope audit`` and ``losscope losses`` list exactly the fields that are written."""

import re
from typing import get_args

from source_tree import ROOT

import losscope
from losscope.core.claims import Outcome, Severity
from losscope.losses.catalogue import get
from losscope.losses.describe import to_json

FREE = ("properties", "figures", "chance", "floor", "exceptions")
"""Objects whose keys are names of checks, figures or assumptions."""


def rows(page: str) -> dict[str, str]:
    text = (ROOT / "docs/reference" / page).read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", text, flags=re.MULTILINE))


def fields(value: object, path: str = "") -> set[str]:
    """Paths of all values; of a list of objects those of the first."""
    found = {path} if path else set()
    if isinstance(value, dict) and path.rpartition(".")[2] not in FREE:
        for key, inner in value.items():
            found |= fields(inner, f"{path}.{key}".lstrip("."))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        found |= fields(value[0], f"{path}[]")
    return {name.removesuffix("[]") for name in found}


def test_the_page_on_audits_lists_every_field() -> None:
    found = losscope.audit(
        lambda pred, target: (pred - target).square().mean(),
        "regression",
        only=["broadcasting", "symmetric"],
        isolate=False,
    ).to_json()
    items = {name: found.pop(name) for name in ("conventions", "declared", "passed", "not_judged")}
    assert found["bugs"] and found["properties"]
    listed = rows("audit-json.md")
    assert {*listed} - {*items} == fields(found)
    for name, item in items.items():
        assert name in listed
        assert {f.replace(name, "bugs") for f in fields(item, name)} <= fields(found)
    assert re.findall(r"`([^`]+)`", listed["bugs[].outcome"]) == [*get_args(Outcome)]
    assert re.findall(r"`([^`]+)`", listed["bugs[].severity"]) == [*get_args(Severity)]


def test_the_page_on_contracts_lists_every_field() -> None:
    leaves = fields(to_json(get("dice")))
    listed = {*rows("losses-json.md")}
    assert listed == leaves - {"arguments", "claims"}


def test_a_field_without_a_row_would_be_noticed() -> None:
    assert fields({"a": {"b": 1}, "c": [{"d": 2}], "floor": {"free": 0}}) == {
        "a",
        "a.b",
        "c",
        "c[].d",
        "floor",
    }
