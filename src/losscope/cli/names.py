"""Names of losses, families and tasks on the command line: the shell completes them, a wrong one gets one line."""

from collections.abc import Iterable
from difflib import get_close_matches

import click
from click.shell_completion import CompletionItem

from losscope.core.errors import BadUsage


class LossName(click.ParamType):
    """A loss of the catalogue."""

    name = "loss"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        from losscope.losses.index import entries

        return [CompletionItem(n, help=e.title) for n, e in entries().items() if n.startswith(incomplete)]


class Family(click.ParamType):
    """A family of losses."""

    name = "family"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        from losscope.losses.index import families

        return [CompletionItem(name) for name in families() if name.startswith(incomplete)]


class TaskName(click.ParamType):
    """A task, what a loss is given, or a group of tasks: the same names for every command."""

    name = "task"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        return [CompletionItem(n, help=about) for n, about in _tasks().items() if n.startswith(incomplete)]


class CheckNames(click.ParamType):
    """Names of checks, separated by commas."""

    name = "checks"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        from losscope.checks.check import all_checks

        before, comma, begun = incomplete.rpartition(",")
        return [
            CompletionItem(before + comma + name, help=str(check.title()))
            for name, check in all_checks().items()
            if name.startswith(begun) and name not in before.split(",")
        ]


def family(name: str) -> str:
    """The family of that name. Raises ``BadUsage`` that lists what there is."""
    from losscope.losses.index import families

    return _one_of(families(), name.strip().lower().replace("-", "_"), "no family has this name")


def task(name: str) -> str:
    """The task of that name, or the group of tasks. Raises ``BadUsage`` that lists what there is."""
    return _one_of(_tasks(), name.strip().lower().replace("_", "-"), "no task has this name")


def _tasks() -> dict[str, str]:
    """Tasks, and groups of those, with a line about each."""
    from losscope.losses.taking import groups
    from losscope.losses.tasks import TASKS

    grouped = {name: "losses of " + ", ".join(tasks) for name, tasks in groups().items() if tasks}
    other = {name: "losses that no task is for yet" for name, tasks in groups().items() if not tasks}
    return {name: task.about for name, task in TASKS.items()} | {
        name: about for name, about in {**grouped, **other}.items() if name not in TASKS
    }


def _one_of(known: Iterable[str], spelled: str, what: str) -> str:
    names = list(known)
    if spelled in names:
        return spelled
    near = get_close_matches(spelled, names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise BadUsage(what, seen=spelled, remedy=f"{hint}there is: {', '.join(names)}")
