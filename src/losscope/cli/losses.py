"""List the losses that losscope knows, or show the contract of one."""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from losscope.core.errors import BadUsage
from losscope.report.stream import columns, wants_colour

if TYPE_CHECKING:
    from losscope.losses.spec import LossSpec


class _LossName(click.ParamType):
    """A name of a loss; the shell completes it."""

    name = "loss"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        from losscope.losses.catalogue import specs

        return [CompletionItem(n, help=s.title) for n, s in specs().items() if n.startswith(incomplete)]


@click.command(name="losses")
@click.argument("name", required=False, type=_LossName())
@click.option("--json", "as_json", is_flag=True, help="Print the contract (or all of them) as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw value, gradient and curvature into FILE.")
def command(name: str | None, *, as_json: bool, plot: Path | None) -> None:
    """List the losses that losscope knows, or show the contract of one.

    What the value can be, what chance level and floor are, what it elicits, which properties it has: each number is
    computed by the contract, each property is executed by the tests.

    \b
    losscope losses
    losscope losses cross_entropy
    losscope losses dice --plot dice.svg
    losscope losses --json
    """
    from losscope.losses.catalogue import get, specs

    if name is None:
        if plot is not None:
            raise BadUsage(
                "--plot needs the name of a loss", remedy="losscope losses cross_entropy --plot out.svg"
            )
        every = [*specs().values()]
        _json(every) if as_json else _table(every)
        return
    spec = get(name)
    if plot is not None:
        _plot(spec, plot)
    if as_json:
        _json(spec)
    elif plot is None:
        _contract(spec)


def _json(what: "LossSpec | list[LossSpec]") -> None:
    from losscope.losses.describe import to_json

    data = [to_json(s) for s in what] if isinstance(what, list) else to_json(what)
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _table(specs: "list[LossSpec]") -> None:
    """One line per loss, family by family."""
    from losscope.losses.describe import interval

    width, widest = max(len(s.name) for s in specs), max(len(interval(s.range)) for s in specs)
    family = ""
    for spec in specs:
        if spec.family != family:
            family = spec.family
            click.echo(("\n" if spec is not specs[0] else "") + _bold(family))
        click.echo(f"  {spec.name:<{width}}  {interval(spec.range):<{widest}} {spec.title}")
    click.echo(f"\n{len(specs)} losses; `losscope losses NAME` shows one")


def _contract(spec: "LossSpec") -> None:
    from losscope.losses.describe import documentation, facts

    width = min(columns(sys.stdout), 110)
    click.echo(f"{_bold(spec.name)}: {spec.title} ({spec.family})\n")
    for paragraph in documentation(spec).split("\n\n"):
        click.echo(textwrap.fill(_plain(" ".join(paragraph.split())), width) + "\n")
    rows = facts(spec)
    indent = max(len(label) for label, _ in rows)
    for label, text in rows:
        lines = textwrap.wrap(text, max(width - indent - 2, 30))
        click.echo(f"{label:<{indent}}  {lines[0]}")
        for line in lines[1:]:
            click.echo(" " * (indent + 2) + line)
    for number, reference in enumerate(spec.references):
        click.echo(f"{'references' if number == 0 else '':<{indent}}  {reference}")


def _plot(spec: "LossSpec", path: Path) -> None:
    from losscope.losses.picture import save

    save(spec, path)
    click.echo(f"losscope: wrote {path}", err=True)


def _plain(text: str) -> str:
    """A docstring's paragraph without its inline markup."""
    return re.sub(r":\w+:`([^`]+)`", r"\1", text).replace("``", "`").replace("**", "")


def _bold(text: str) -> str:
    return click.style(text, bold=True) if wants_colour(sys.stdout) else text
