"""Turns a docstring, plain text with a few conventions, into a Markdown page for MyST."""

import inspect
import re

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_UNDERLINE = re.compile(r"^([-=~^])\1{2,}$")
_DIRECTIVE = re.compile(r"\s*# doctest: .*$")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(docstring: str, *, level: int = 2) -> str:
    """The docstring as Markdown: its highest headings become headings of ``level``.

    Understood: headings underlined or led by ``#``, doctests, indented formulas and code, roles such as
    ``:func:``, and ``::`` before an indented block. Whatever looks like an HTML tag is shown as it stands.
    """
    lines = _headings(inspect.cleandoc(docstring).splitlines())
    highest = min((h for line in lines if (h := _depth(line))), default=1)
    text: list[str] = []
    in_doctest = False
    for line in lines:
        starts = line.lstrip().startswith(">>> ")
        if starts and not in_doctest:
            text += ["```pycon"] if text and not text[-1] else ["", "```pycon"]
            in_doctest = True
        if in_doctest and not line.strip():
            text.append("```")
            in_doctest = False
        text.append(_DIRECTIVE.sub("", line.strip()) if in_doctest else _prose(line, level - highest))
    if in_doctest:
        text.append("```")
    return "\n".join(text) + "\n"


def cell(text: str) -> str:
    """Text fit for one cell of a Markdown table."""
    return " ".join(_without_tags(text).replace("|", "\\|").split())


def first_sentence(docstring: str | None) -> str:
    """The summary line of a docstring, joined over line breaks."""
    paragraph = inspect.cleandoc(docstring or "").partition("\n\n")[0]
    return " ".join(_ROLE.sub(r"`\1`", paragraph).split())


def _headings(lines: list[str]) -> list[str]:
    """Underlined headings become ``##`` headings; everything else is kept."""
    kept: list[str] = []
    for line in lines:
        if _UNDERLINE.match(line) and kept and kept[-1].strip() and not kept[-1].startswith(" "):
            kept[-1] = f"## {kept[-1].strip()}"
        else:
            kept.append(line)
    return kept


def _depth(line: str) -> int:
    match = re.match(r"(#{1,6}) \S", line)
    return len(match[1]) if match else 0


def _prose(line: str, shift: int) -> str:
    if line.startswith("    "):
        return line
    if depth := _depth(line):
        return "#" * min(6, depth + shift) + line[depth:]
    if line.endswith("::"):
        line = line[:-1]
    return _without_tags(_ROLE.sub(r"`\1`", line))


def _without_tags(text: str) -> str:
    """``<`` escaped where it would begin a tag; code is left alone."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text)
    return "".join(piece if piece.startswith("`") else _TAG.sub(r"\\<", piece) for piece in pieces)
