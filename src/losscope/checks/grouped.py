"""What a loss takes, where a group of tasks was named: one of those."""

from collections.abc import Callable

from losscope.checks.infer import Inferred, infer
from losscope.checks.target import Target
from losscope.core.errors import BadUsage
from losscope.losses.taking import groups
from losscope.losses.tasks import TASKS


def infer_within(
    target: Target, task: str | None, note: Callable[[str], None] = lambda task: None
) -> Inferred:
    """As :func:`losscope.checks.infer.infer`; of a group the task that would be inferred, else the first accepted."""
    if task is None or task in TASKS or task not in groups():
        return infer(target, task, note)
    tasks = groups()[task]
    if not tasks:
        raise BadUsage("no task that can be audited is in this group", seen=task, remedy="leave out --task")
    found = None
    try:
        found = infer(target, None, note)
        if found.task in (*tasks, task):
            return found
    except BadUsage:
        pass  # it takes nothing that a task is inferred from
    for one in tasks:
        try:
            return infer(target, one, note)
        except BadUsage:
            continue
    as_what = f"; it takes those of {found.task}" if found is not None else ""
    raise BadUsage(
        f"{target.name} does not take the inputs of any task of the group {task}",
        seen=f"tried {', '.join(tasks)}{as_what}",
    )
