"""The generated reference: every addition gets its page, and docstrings survive the way to Markdown."""

import sys

import pytest
from source_tree import ROOT

pytest.importorskip("sphinx")
sys.path.insert(0, str(ROOT / "docs/_ext"))

from docstring_markdown import cell, first_sentence, markdown
from reference_pages import all_pages

from losscope.core.registry import discover
from losscope.recording.signals import all_signals


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return all_pages()


def test_every_rule_loss_and_command_has_a_page(pages: dict[str, str]) -> None:
    for rule in discover("losscope.rules", "RULE").values():
        assert f"`{rule.code}`" in pages["findings/index.md"]
        assert f"findings/{rule.code}.md" in pages
    for module, spec in discover("losscope.losses", "SPEC").items():
        path = module.removeprefix("losscope.losses.").replace(".", "/")
        assert f"`{spec.name}`" in pages["losses/index.md"]
        assert pages[f"losses/{path}.md"].startswith(f"# `{spec.name}`\n")
    for module, command in discover("losscope.cli", "command").items():
        assert command.hidden or f"commands/{module.rpartition('.')[2]}.md" in pages


def test_every_signal_is_listed(pages: dict[str, str]) -> None:
    for name in all_signals():
        assert f"| `{name}` |" in pages["signals.md"]


def test_no_page_is_an_empty_shell(pages: dict[str, str]) -> None:
    thin = [name for name, text in pages.items() if len(text.split()) < 12]
    assert thin == []


def test_docstring_to_markdown() -> None:
    docstring = """One line about :func:`~torch.log` of <x>.

    Notes
    -----
    The value is::

        a < b <tag>

    >>> 1 + 1  # doctest: +SKIP
    2

    End of ``<code>``.
    """
    assert markdown(docstring) == (
        "One line about `torch.log` of \\<x>.\n\n## Notes\nThe value is:\n\n    a < b <tag>\n\n"
        "```pycon\n>>> 1 + 1\n2\n```\n\nEnd of ``<code>``.\n"
    )
    assert markdown("# Top\n\n## Below", level=3) == "### Top\n\n#### Below\n"


def test_pieces_of_text() -> None:
    assert first_sentence("``a``: what it\nsays.\n\nMore.") == "``a``: what it says."
    assert cell("a | b\n<c> `<d>`") == "a \\| b \\<c> `<d>`"
