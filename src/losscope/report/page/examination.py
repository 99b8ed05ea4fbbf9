"""An examination alone as one HTML file, with the style of the reports and no script."""

import re
from collections.abc import Mapping
from typing import Any

from losscope.core.text import Language
from losscope.report.charts.svg import clean
from losscope.report.page.build import asset, policy, templates
from losscope.report.page.context import prose
from losscope.report.page.geometry import geometry_view
from losscope.report.words import word


def examination_page(document: Mapping[str, Any], name: str, language: Language = "en") -> str:
    """The whole HTML document of an examination, as its JSON says it; ``name`` says of what."""
    style, taken = asset("report.css"), set[str]()

    def identity(wish: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", wish.lower()).strip("-") or "x"
        taken.add(base)
        return f"{base}-{len(taken)}"

    return clean(
        templates()
        .get_template("examination.html.j2")
        .render(
            w=lambda key, **values: word(key, language, **values),
            prose=prose,
            language={"en": "en", "zh": "zh-Hans"}[language],
            name=name,
            policy=policy(style, ""),
            style=style,
            geometry=geometry_view(document, language, identity),
        )
    )
