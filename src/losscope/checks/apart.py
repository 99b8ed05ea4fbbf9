"""A whole audit in a process of its own: the import too may print, hang, crash or end the process."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from losscope.checks.audit import Progress, audit, first_limit
from losscope.checks.isolation import can_isolate, in_child
from losscope.core.errors import BadUsage
from losscope.core.text import Language
from losscope.losses.catalogue import specs

_SLACK = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an audit found, as plain data and as text."""

    data: dict[str, Any]
    summary: str
    bugs: int


def audit_apart(
    target: str,
    task: str | None,
    *,
    only: Collection[str],
    skip: Collection[str],
    seconds: float,
    language: Language,
    progress: Progress | None,
) -> Told:
    """:func:`losscope.audit` of what ``target`` names. Raises ``BadUsage`` in one line whatever the import does."""

    def work(news: Any) -> Told:
        found = audit(
            target,
            task,
            only=only,
            skip=skip,
            seconds=seconds,
            progress=lambda *told: news(told),
        )
        return Told(data=found.to_json(language), summary=found.summary(language), bugs=len(found.bugs))

    last: tuple[int, int, str] = (0, 0, "")

    def show(told: tuple[int, int, str] | None = None) -> None:
        nonlocal last
        last = last if told is None else told
        if progress is not None:
            progress(*last)

    if not can_isolate():
        return work(show)
    specs()  # read once, here
    module = target.partition(":")[0]
    limit = 2 * first_limit(seconds) + seconds + _SLACK
    try:
        return in_child(work, limit, memory=None, told=show, waiting=show)
    except TimeoutError:
        raise BadUsage(
            f"the audit did not end within {limit:g} s",
            seen=f"importing {module}, or building the loss, does not return",
        ) from None
    except ChildProcessError as error:
        raise BadUsage(f"importing {module} ended the process", seen=str(error)) from None
