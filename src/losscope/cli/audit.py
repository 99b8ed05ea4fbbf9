"""Test any loss, and show counterexamples for what is wrong with it."""

import sys
from pathlib import Path
from typing import Any

import click

from losscope.cli import names
from losscope.cli.names import CheckNames, TaskName
from losscope.cli.progress import deliver, listed, steps_shown, writable
from losscope.cli.seconds import Finite
from losscope.core.errors import BadUsage
from losscope.report.stream import wants_colour


@click.command(name="audit")
@click.argument("target", required=False)
@click.option(
    "--task", type=TaskName(), metavar="TASK", help="What the loss takes; without it the task is inferred."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the loss; may be repeated. A list becomes a tensor where the loss wants one.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the result as JSON to FILE too; - for JSON on stdout only.",
)
@click.option(
    "--only", type=CheckNames(), metavar="CHECKS", help="Run only these checks, separated by commas."
)
@click.option("--skip", type=CheckNames(), metavar="CHECKS", help="Leave out these checks.")
@click.option(
    "--seconds",
    type=Finite(min=1),
    default=60.0,
    show_default=True,
    help="Time limit for all checks; before them import and inference have half of it each, or 30 s.",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the report.")
@click.option("--list", "listing", is_flag=True, help="List the checks and the tasks.")
def command(
    *,
    target: str | None,
    task: str | None,
    options: tuple[str, ...],
    json_file: Path | None,
    only: str | None,
    skip: str | None,
    seconds: float,
    lang: str,
    listing: bool,
) -> int:
    """Test any loss, and show counterexamples for what is wrong with it.

    TARGET names a function, a class or an instance: package.module:Loss or folder/file.py:Loss, with options
    package.module:Loss(gamma=2), or package.module:make() for a function that returns a loss. Values are numbers,
    texts, lists, or tensor([1., 2.]). Names of the catalogue are not taken: losscope audit cross_entropy says where
    it is. What it takes is found out by trying, unless --task says so. The checks run in a process of their own,
    with limits on time and memory. Exit code 0: no bug found; 1: bugs found; 2: the target is no loss; 130:
    interrupted.

    \b
    losscope audit torch.nn:CrossEntropyLoss
    losscope audit mypkg.losses:FocalLoss(gamma=2) --task multi-class
    losscope audit mypkg.losses:WeightedCE --option weight=[1,2,3] --option reduction=sum
    losscope audit 'mypkg.losses:make()'
    losscope audit mypkg/losses.py:dice --only finite,gradient --json audit.json
    losscope audit --list
    """
    language = "zh" if lang == "zh" else "en"
    if listing:
        _list(language)
        return 0
    if target is None:
        raise BadUsage(
            "no loss was named", remedy="losscope audit package.module:Loss; losscope audit --list"
        )
    task = names.task(task) if task is not None else None
    writable(json_file)
    from losscope.checks.apart import audit_apart
    from losscope.checks.options import with_options

    target = with_options(target, options)

    try:
        with steps_shown(target) as progress:
            found = audit_apart(
                target,
                task,
                only=listed(only),
                skip=listed(skip),
                seconds=seconds,
                language=language,
                progress=progress,
            )
    except KeyboardInterrupt:
        click.echo("losscope: the audit was interrupted", err=True)
        return 130
    deliver(found.data, _coloured(found.summary), json_file)
    return 1 if found.bugs else 0


def _coloured(text: str) -> str:
    """Marks in colour on a terminal that wants them."""
    if not wants_colour(sys.stdout):
        return text
    colours = {"✗": "red", "!": "yellow", "✓": "green", "?": "yellow"}
    lines = []
    for line in text.splitlines():
        mark = line.lstrip()[:1]
        lines.append(click.style(line, fg=colours[mark]) if mark in colours else line)
    return "\n".join(lines)


def _list(language: Any) -> None:
    from losscope.checks.check import all_checks
    from losscope.losses.tasks import TASKS

    click.echo("checks:")
    for name, check in all_checks().items():
        click.echo(f"  {name:<24} {check.title().render(language)}")
    click.echo("\ntasks:")
    for name, task in TASKS.items():
        arguments = ", ".join(f"{a.name} [{a.axes or a.of.axes}] {a.kind}" for a in task.arguments)
        click.echo(f"  {name:<28} {arguments}")
