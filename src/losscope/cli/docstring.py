"""Docstrings as the terminal shows them: without inline markup, bold where that can be seen."""

import re
import sys

import click

from losscope.report.stream import wants_colour

_ROLE = re.compile(r":\w+:`([^`]+)`")


def plain(text: str) -> str:
    """``:role:`x` ``, double backticks and asterisks are markup; what they mark is text, bold on a colour terminal.

    >>> plain("**Law.** See :func:`change` and ``x - y``.")
    'Law. See change and `x - y`.'
    """
    pieces = _ROLE.sub(r"\1", text).replace("``", "`").split("**")
    return "".join(bold(piece) if index % 2 else piece for index, piece in enumerate(pieces))


def bold(text: str) -> str:
    """Bold where standard output is a terminal that wants colours."""
    return click.style(text, bold=True) if wants_colour(sys.stdout) else text
