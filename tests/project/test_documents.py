"""Hand-written documents name only what exists: links, make targets, commands."""

import re
from pathlib import Path

import pytest
from source_tree import ROOT

from losscope.core.registry import module_names

PAGES = (path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & {*path.parts})
DOCUMENTS = sorted([*ROOT.glob("*.md"), *PAGES])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative link targets that are no file; pages that the documentation build generates are its own."""
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    return [
        target
        for target in targets
        if "://" not in target and "generated/" not in target and not (folder / target).exists()
    ]


def code_in(text: str) -> str:
    """Console blocks and inline code, one piece a line."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


def unknown_commands(text: str, commands: set[str]) -> list[str]:
    """``losscope X`` in code where X is no command."""
    named = re.findall(r"(?<![\w.-])losscope ([a-z]+)\b(?![\w./=])", code_in(text))
    return [name for name in named if name not in commands]


def unknown_targets(text: str, makefile: str) -> list[str]:
    """``make X`` in code where X is no target."""
    named = re.findall(r"\bmake ([a-z]+)\b", code_in(text))
    return [name for name in named if not re.search(rf"^{name}:", makefile, flags=re.MULTILINE)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_document_names_only_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = {name.rpartition(".")[2] for name in module_names("losscope.cli")}
    assert broken_links(text, path.parent) == []
    assert unknown_commands(text, commands) == []
    assert unknown_targets(text, (ROOT / "Makefile").read_text()) == []


def test_planted_mistakes_are_caught(tmp_path: Path) -> None:
    assert broken_links("[a](nowhere.md) [b](https://x.org/y) [c](#here)", tmp_path) == ["nowhere.md"]
    text = (
        "```console\n$ losscope rum train.py\n$ losscope run x\n```\n`losscope.read` `make tset` `make test`"
    )
    assert unknown_commands(text, {"run"}) == ["rum"]
    assert unknown_targets(text, "test: lint\n") == ["tset"]
