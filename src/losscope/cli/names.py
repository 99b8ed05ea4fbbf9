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
        from losscope.losses.catalogue import specs

        return [CompletionItem(n, help=s.title) for n, s in specs().items() if n.startswith(incomplete)]


class Family(click.ParamType):
    """A family of losses."""

    name = "family"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        return [CompletionItem(name) for name in families() if name.startswith(incomplete)]


class TaskName(click.ParamType):
    """A task: what a loss is given. With ``groups``, also a contract's own group of tasks."""

    name = "task"

    def __init__(self, *, groups: bool = False) -> None:
        self.groups = groups

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list:
        from losscope.losses.taking import groups
        from losscope.losses.tasks import TASKS

        items = {name: task.about for name, task in TASKS.items()}
        if self.groups:
            items = {name: "losses of " + ", ".join(tasks) for name, tasks in groups().items()} | items
        return [CompletionItem(n, help=about) for n, about in items.items() if n.startswith(incomplete)]


def families() -> list[str]:
    """The families of the catalogue, in order."""
    from losscope.losses.catalogue import specs

    return list(dict.fromkeys(spec.family for spec in specs().values()))


def family(name: str) -> str:
    """The family of that name. Raises ``BadUsage`` that lists what there is."""
    return _one_of(families(), name.strip().lower().replace("-", "_"), "no family has this name")


def task(name: str, *, with_groups: bool = False) -> str:
    """The task of that name, or the group. Raises ``BadUsage``: a group is told the tasks of its losses."""
    from losscope.losses.taking import groups
    from losscope.losses.tasks import TASKS

    spelled = name.strip().lower().replace("_", "-")
    if not with_groups and spelled not in TASKS and (inside := groups().get(spelled)):
        raise BadUsage("this is a group of tasks", seen=name, remedy="one of: " + ", ".join(inside))
    if not with_groups or spelled in TASKS:
        return _one_of(TASKS, spelled, "no task has this name")
    used = {name for tasks in groups().values() for name in tasks}  # by losses of the catalogue
    listed = dict.fromkeys([*groups(), *(name for name in TASKS if name in used)])
    return _one_of(listed, spelled, "no task has this name")


def _one_of(known: Iterable[str], spelled: str, what: str) -> str:
    names = list(known)
    if spelled in names:
        return spelled
    near = get_close_matches(spelled, names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise BadUsage(what, seen=spelled, remedy=f"{hint}there is: {', '.join(names)}")
