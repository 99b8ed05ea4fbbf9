"""List the losses that losscope knows, or show the contract of one."""

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from losscope.cli import names
from losscope.cli.docstring import bold, plain
from losscope.cli.names import Family, LossName, TaskName
from losscope.core.errors import BadUsage
from losscope.report.stream import columns

if TYPE_CHECKING:
    from losscope.losses.index import Entry
    from losscope.losses.spec import LossSpec


@click.command(name="losses")
@click.argument("name", required=False, type=LossName())
@click.option("--family", type=Family(), help="List the losses of this family only.")
@click.option("--task", type=TaskName(), help="List the losses of this task only (as in `audit --task`).")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the contract (or all of them) as JSON on stdout."
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw value, gradient and curvature into FILE.")
def command(
    name: str | None, *, family: str | None, task: str | None, as_json: bool, plot: Path | None
) -> None:
    """List the losses that losscope knows, or show the contract of one.

    What the value can be, what chance level and floor are, what it elicits, which properties it has: each number is
    computed by the contract, each property is executed by the tests.

    \b
    losscope losses
    losscope losses cross_entropy
    losscope losses --family segmentation
    losscope losses --task contrastive
    losscope losses dice --plot dice.svg
    losscope losses --json
    """
    from losscope.losses.index import called

    if name is None:
        if plot is not None:
            raise BadUsage(
                "--plot needs the name of a loss", remedy="losscope losses cross_entropy --plot out.svg"
            )
        _list(family, task, as_json=as_json)
        return
    name = called(name)
    if family or task:
        raise BadUsage(
            "--family and --task choose from the list", remedy=f"losscope losses {name}, without them"
        )
    from losscope.losses.catalogue import get

    spec = get(name)
    if plot is not None:
        _plot(spec, plot)
    if as_json:
        _json(spec)
    elif plot is None:
        _contract(spec)


def _list(family: str | None, task: str | None, *, as_json: bool) -> None:
    """The losses of a family and a task; the whole list, or a family's, is read without importing torch."""
    from losscope.losses.index import entries

    family = names.family(family) if family is not None else None
    chosen = [name for name, entry in entries().items() if family in (None, entry.family)]
    if task is not None:
        from losscope.losses.catalogue import get
        from losscope.losses.taking import taking

        chosen = [spec.name for spec in taking([get(name) for name in chosen], names.task(task))]
        if not chosen:
            _nothing(task, family)
    if as_json:
        from losscope.losses.catalogue import get

        _json([get(name) for name in chosen])
    elif chosen:
        _table([entries()[name] for name in chosen])


def _nothing(task: str, family: str | None) -> None:
    """Why the list is empty, on stderr: that is an answer, and no fault."""
    from losscope.losses.tasks import TASKS

    task = names.task(task)
    if family is not None:
        text = f"no loss of the family {family} is of this task; losscope losses --task {task}"
    else:
        takes = f"{TASKS[task].about}; " if task in TASKS else ""
        yours = f"losscope audit TARGET --task {task} tests yours"
        text = f"no loss of the catalogue takes the inputs of {task}: {takes}{yours}"
    click.echo(f"losscope: {text}", err=True)


def _json(what: "LossSpec | list[LossSpec]") -> None:
    from losscope.losses.describe import to_json

    data = [to_json(s) for s in what] if isinstance(what, list) else to_json(what)
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _table(specs: "list[Entry]") -> None:
    """One line per loss, family by family."""
    from losscope.losses.index import interval

    width, widest = max(len(s.name) for s in specs), max(len(interval(s.range)) for s in specs)
    family = ""
    for spec in specs:
        if spec.family != family:
            family = spec.family
            click.echo(("\n" if spec is not specs[0] else "") + bold(family))
        click.echo(f"  {spec.name:<{width}}  {interval(spec.range):<{widest}} {spec.title}")
    click.echo(f"\n{len(specs)} losses; `losscope losses NAME` shows one")


def _contract(spec: "LossSpec") -> None:
    from losscope.losses.describe import documentation, facts

    width = min(columns(sys.stdout), 110)
    click.echo(f"{bold(spec.name)}: {spec.title} ({spec.family})\n")
    for paragraph in documentation(spec).split("\n\n"):
        click.echo(textwrap.fill(plain(" ".join(paragraph.split())), width) + "\n")
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
