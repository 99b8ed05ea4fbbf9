"""The reference pages of losses, a gallery per family, and the table of what each value can be."""

import math
import textwrap
from collections.abc import Iterator
from importlib import import_module
from io import StringIO
from typing import Any

from docstring_markdown import cell, first_sentence, markdown

from losscope.core.registry import discover
from losscope.losses.describe import chance_levels, facts, floors, interval
from losscope.losses.section import values_only
from losscope.losses.spec import LossSpec

Pages = dict[str, str]
_COLUMNS = 3
_COLOURS = ("#1f5fa8", "#c4541a")


def loss_pages() -> Pages:
    """One page per loss, one per family with pictures, the index, and the table of ranges."""
    specs = _specs()
    pages: Pages = {f"losses/{path}.md": _page(spec, doc) for path, (spec, doc) in specs.items()}
    families: dict[str, list[str]] = {}
    for path, (spec, _) in specs.items():
        families.setdefault(spec.family, []).append(path)
    for family, paths in families.items():
        pages |= _family(family, [(path, *specs[path]) for path in paths])
    rows = [
        f"| [{family}](gallery-{family}.md) | {len(paths)} | {', '.join(_link(specs[p][0], p) for p in paths)} |"
        for family, paths in sorted(families.items())
    ]
    lead = (
        "Every loss that losscope knows, with what its value can be. Each number on these pages is computed by the "
        "contract, each property is executed by the tests. `losscope losses NAME` shows the same text."
    )
    table = "\n".join(["| family | losses | names |", "| --- | --- | --- |", *rows])
    children = "\n".join(["```{toctree}", ":hidden:", "", *(f"gallery-{f}" for f in sorted(families)), "```"])
    pages["losses/index.md"] = "\n\n".join(["# Losses", lead, table, children]) + "\n"
    pages["losses/ranges.md"] = _ranges([(path, spec) for path, (spec, _) in specs.items()])
    return pages


def pictures() -> dict[str, str]:
    """SVG text by file name: one drawing per family."""
    families: dict[str, list[LossSpec]] = {}
    for spec, _ in _specs().values():
        if spec.function is not None:
            families.setdefault(spec.family, []).append(spec)
    return {f"losses/gallery-{family}.svg": _draw(specs) for family, specs in families.items()}


def _specs() -> dict[str, tuple[LossSpec, str]]:
    return {
        module.removeprefix("losscope.losses.").replace(".", "/"): (spec, import_module(module).__doc__ or "")
        for module, spec in sorted(discover("losscope.losses", "SPEC").items())
    }


def _link(spec: LossSpec, path: str) -> str:
    return f"[`{spec.name}`]({path}.md)"


def _page(spec: LossSpec, documentation: str) -> str:
    rows = [f"| {label} | {cell(text)} |" for label, text in facts(spec)]
    references = [f"* <{r}>" if r.startswith("http") else f"* {r}" for r in spec.references]
    parts = [
        f"# `{spec.name}`",
        markdown(documentation).strip(),
        f"```{{math}}\n{spec.formula}\n```" if spec.formula else "",
        "\n".join(["| property | |", "| --- | --- |", *rows]),
        "\n".join(["## References", "", *references]) if references else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _family(family: str, members: list[tuple[str, LossSpec, str]]) -> Pages:
    rows = [
        f"| {_link(spec, path)} | {interval(spec.range)} | {cell(first_sentence(doc))} |"
        for path, spec, doc in members
    ]
    drawn = any(spec.function is not None for _, spec, _ in members)
    children = "\n".join(["```{toctree}", ":hidden:", "", *(path for path, *_ in members), "```"])
    parts = [
        f"# {family.replace('_', ' ').capitalize()}",
        f"![Value of each loss of this family along one line](gallery-{family}.svg)" if drawn else "",
        "\n".join(["| loss | range | in one line |", "| --- | --- | --- |", *rows]),
        children,
    ]
    return {f"losses/gallery-{family}.md": "\n\n".join(part for part in parts if part) + "\n"}


def _draw(specs: list[LossSpec]) -> str:
    """Small multiples: the value of each loss along the line that shows it best."""
    import matplotlib as mpl
    import torch
    from matplotlib.figure import Figure

    torch.set_num_threads(1)
    rows = math.ceil(len(specs) / _COLUMNS)
    with mpl.rc_context({"svg.hashsalt": "losscope", "font.size": 7}):
        height = 2.2 * rows
        figure = Figure(figsize=(9, height))
        figure.subplots_adjust(0.05, 0.5 / height, 0.99, 1 - 0.3 / height, wspace=0.2, hspace=0.5)
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flat
        for axes, spec in zip(panels, [*specs, *[None] * (rows * _COLUMNS - len(specs))], strict=True):
            if spec is None:
                axes.set_visible(False)
                continue
            _panel(axes, spec)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _panel(axes: Any, spec: LossSpec) -> None:
    for (path, x, value), colour in zip(values_only(spec, points=48), _COLOURS, strict=False):
        axes.plot(x.numpy(), value.numpy(), color=colour, linewidth=1.3, label=path.name or None)
        axes.set_xlabel(textwrap.fill(path.label, 64), fontsize=6)
        if path.name:
            axes.legend(frameon=False, fontsize=6)
    axes.set_title(spec.name, loc="left", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _ranges(members: list[tuple[str, LossSpec]]) -> str:
    """The answer per loss to "should it lie between 0 and 1?", in executed numbers."""
    lines = ["| loss | can be | at chance | floor | normalised: 1 is |", "| --- | --- | --- | --- | --- |"]
    for path, spec in members:
        if spec.function is None:
            continue
        lines.append("| " + " | ".join(cell(text) for text in _range_row(path, spec)) + " |")
    return "\n".join(lines) + "\n"


def _range_row(path: str, spec: LossSpec) -> Iterator[str]:
    chance = chance_levels(spec)
    yield f"[`{spec.name}`](../reference/generated/losses/{path}.md)"
    yield interval(spec.range)
    yield "; ".join(f"{value:.4g} ({what})" for what, value in chance[:2]) or "–"
    yield "; ".join(f"{value:.4g} {what}" for what, value in floors(spec)[:2]) or "–"
    if not spec.value_is_progress:
        yield "nothing: the value is not progress"
    elif spec.normaliser is not None and (one := spec.normaliser({"num_classes": 10})):
        yield f"{one:.4g}" + (" (10 classes)" if abs(one - math.log(10)) < 1e-9 else "")
    else:
        yield "the chance level" if chance else "–"
