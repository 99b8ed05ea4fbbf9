"""Sphinx extension: formulas as MathML made at build time, so that pages need no script and no network."""

import html
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(_render(node, as_block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(f'<div class="formula">{_render(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _render(node: nodes.Element, *, as_block: bool) -> str:
    formula = node.astext()
    try:
        return tex2mathml(formula, as_block=as_block)
    except (MathError, SyntaxError) as error:
        logger.warning("formula %r cannot be shown: %s", formula, error, location=node, type="mathml")
        return f"<code>{html.escape(formula)}</code>"
