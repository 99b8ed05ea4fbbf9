"""Which losses take the inputs of a task: the names of ``losscope audit --task`` for the contracts of the catalogue.

A contract's own ``task`` is a group, such as "embedding"; a task names the inputs, such as "contrastive" or "triplet".
"""

from collections.abc import Iterable

from losscope.losses.arguments import Argument
from losscope.losses.catalogue import specs
from losscope.losses.spec import LossSpec
from losscope.losses.tasks import TASKS

_ALSO = {"unit": "binary"}
"""Kinds of targets that include another kind: a share may be 0 or 1."""


def tasks_of(spec: LossSpec) -> list[str]:
    """The tasks whose inputs a loss takes as they are; several, or none.

    >>> from losscope.losses.catalogue import get
    >>> tasks_of(get("info_nce")), tasks_of(get("triplet_margin"))
    (['contrastive'], ['triplet'])
    """
    return [name for name, task in TASKS.items() if _fits(spec.arguments, task.arguments)]


def groups() -> dict[str, list[str]]:
    """The tasks that the losses of each group take; a group that is a task itself has that one among them.

    >>> groups()["preference"]
    ['preference', 'reference-free-preference', 'pairwise', 'game']
    """
    found: dict[str, set[str]] = {}
    for spec in specs().values():
        found.setdefault(spec.task, set()).update(tasks_of(spec))
    order = list(TASKS)
    return {group: sorted(names, key=order.index) for group, names in sorted(found.items())}


def taking(losses: Iterable[LossSpec], task: str) -> list[LossSpec]:
    """The losses of a group of this name, and those that take the inputs of a task of this name."""
    return [spec for spec in losses if spec.task == task or task in tasks_of(spec)]


def _fits(own: tuple[Argument, ...], given: tuple[Argument, ...]) -> bool:
    return len(own) == len(given) > 0 and all(
        (mine.axes or mine.of.axes) == (theirs.axes or theirs.of.axes)
        and theirs.kind in (mine.kind, _ALSO.get(mine.kind))
        for mine, theirs in zip(own, given, strict=True)
    )
