"""SVG elements as strings: every attribute and text escaped, every number finite and short."""

import math
import re
from html import escape

# XML 1.0 forbids these even when escaped; lone surrogates cannot be encoded as UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: object) -> str:
    """``text`` without the characters that no HTML or XML document may hold."""
    return _FORBIDDEN.sub("\ufffd", str(text))


def coordinate(value: float, digits: int = 2) -> str:
    """A coordinate, as short as ``digits`` decimals allow. A non-finite one is a programming error."""
    if not math.isfinite(value):
        raise ValueError(f"a coordinate must be finite, not {value}")
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, *children: str, **attributes: object) -> str:
    """``<tag …>children</tag>``. Children are markup already; use `text` for words.

    ``class_`` stands for ``class`` and ``_`` inside a name for ``-``; an attribute that is ``None`` is
    left out; numbers are written by `coordinate`.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None:
            continue
        shown = coordinate(value) if isinstance(value, float) else clean(value)
        parts.append(f'{name.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{' '.join(parts)}>{''.join(children)}</{tag}>"


def text(words: object) -> str:
    """Words as the content of an element."""
    return escape(clean(words), quote=False)


def percent_of(share: float) -> str:
    """A horizontal position: a share of the chart's width as a percentage, so that it follows the page."""
    return f"{coordinate(100 * share, 3)}%"


def labelled(identity: str, title: str, description: str, *children: str, **attributes: object) -> str:
    """An ``<svg role="img">`` with its name and description, for people who do not see it."""
    return element(
        "svg",
        element("title", text(title), id=f"{identity}-t"),
        element("desc", text(description), id=f"{identity}-d"),
        *children,
        role="img",
        aria_labelledby=f"{identity}-t {identity}-d",
        **attributes,
    )
