"""Sphinx extension: writes the reference from the package itself, before Sphinx reads its sources.

Rules, losses, commands, signals and public names are found by the package's own discovery, and each
module's docstring is its page. A new file gets its page and its index entry without an edit here.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from docstring_markdown import cell, first_sentence, markdown
from loss_pages import loss_pages, pictures
from sphinx.application import Sphinx

import losscope
from losscope.core.registry import discover
from losscope.recording.signals import all_signals
from losscope.rules.rule import sections

Pages = dict[str, str]
Row = tuple[str, ...]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"version": losscope.__version__, "parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Bring ``reference/generated`` up to date; unchanged pages keep their time, so Sphinx skips them."""
    folder = Path(app.srcdir, "reference", "generated")
    pages = {**all_pages(), **pictures()}
    for path in [*folder.rglob("*.md"), *folder.rglob("*.svg")]:
        if str(path.relative_to(folder)) not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def all_pages() -> Pages:
    """Every generated page by its path below ``reference/generated``."""
    return {
        **finding_pages(),
        **loss_pages(),
        **command_pages(),
        "signals.md": signal_page(),
        "python.md": python_page(),
    }


def finding_pages() -> Pages:
    documentation = {
        rule.code: (rule, sections(inspect.cleandoc(import_module(module).__doc__ or "")))
        for module, rule in discover("losscope.rules", "RULE").items()
    }
    pages: Pages = {}
    rows = []
    for code, (rule, found) in sorted(documentation.items()):
        says = first_sentence(found.pop("")).removeprefix(f"``{code}``: ")
        rows.append((f"[`{code}`]({code}.md)", rule.severity, says))
        explains = ", ".join(f"`{c}`" for c in rule.consequences)
        pages[f"findings/{code}.md"] = page(
            f"`{code}`",
            f"{says[:1].upper()}{says[1:]} Severity: {rule.severity}.",
            *(f"## {name}\n\n{markdown(text)}" for name, text in found.items()),
            f"## Explains\n\nFindings that are filed under this one: {explains}." if explains else "",
        )
    lead = (
        "Every finding that a verdict can hold. `error` and `warning` mean that a person should act; "
        "`info` is context. `losscope explain CODE` shows the same text in the terminal."
    )
    columns = ("code", "severity", "what it says")
    pages["findings/index.md"] = index("Findings", lead, columns, rows, sorted(documentation))
    return pages


def command_pages() -> Pages:
    commands = {
        module.rpartition(".")[2]: command
        for module, command in sorted(discover("losscope.cli", "command").items())
        if not command.hidden
    }
    pages = {f"commands/{name}.md": command_page(name, command) for name, command in commands.items()}
    rows = [(f"[`losscope {n}`]({n}.md)", c.get_short_help_str(limit=200)) for n, c in commands.items()]
    lead = "`losscope COMMAND --help` shows the same text. `python -m losscope` is the same program."
    pages["commands/index.md"] = index("Commands", lead, ("command", "what it does"), rows, [*commands])
    return pages


def command_page(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"losscope {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    # click's mark for a paragraph that is not to be wrapped
    unwrapped = re.compile(r"\x08\n(.*?)(?=\n\n|\Z)", flags=re.DOTALL)
    help_text = unwrapped.sub(r"```console\n\1\n```", inspect.cleandoc(command.help or ""))
    records = (p.get_help_record(context) for p in command.get_params(context) if isinstance(p, click.Option))
    options = table(("option", "meaning"), [(f"`{record[0]}`", record[1]) for record in records if record])
    return page(f"`losscope {name}`", f"```console\n$ {usage}\n```", markdown(help_text), options)


def signal_page() -> str:
    rows = [(f"`{s.name}`", s.unit, s.label, s.help) for s in all_signals().values()]
    lead = first_sentence(import_module("losscope.recording.signals").__doc__)
    return page("Signals", lead, table(("name", "unit", "label", "what it is"), rows))


def python_page() -> str:
    parts = []
    for name in losscope.__all__:
        value = getattr(losscope, name)
        if callable(value):
            parts += [
                f"## `losscope.{name}{signature(value)}`",
                markdown(inspect.getdoc(value) or "", level=3),
            ]
    return page("Python", "The names that `import losscope` offers. They are loaded when first used.", *parts)


def signature(value: Callable[..., Any]) -> str:
    """The signature as a reader would write it: without module paths and quoted annotations."""
    text = re.sub(r"((?:: |-> ))'([^']*)'", r"\1\2", str(inspect.signature(value)))
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text)


def link(reference: str) -> str:
    return f"<{reference}>" if reference.startswith("http") else reference


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", *(part.strip() for part in parts if part.strip())]) + "\n"


def index(title: str, lead: str, header: Row, rows: list[Row], children: list[str]) -> str:
    """A page with a table of its children, which also stand in the navigation."""
    contents = "\n".join(["```{toctree}", ":hidden:", "", *children, "```"]) if children else ""
    return page(title, lead, table(header, rows), contents)


def table(header: Row, rows: Iterable[Row]) -> str:
    lines = [header, tuple("---" for _ in header), *(tuple(cell(text) for text in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
