"""One line for a loss that gives nothing to examine: what it does, what was tried, and what can be done."""

from losscope.checks.candidates import Refusal, Search
from losscope.checks.target import Target
from losscope.core.errors import BadUsage
from losscope.losses.tasks import TASKS

_LIST = "losscope audit --list shows what losses can take"


def unfit(target: Target, found: Search) -> BadUsage:
    """The fault of a loss for which no task was accepted."""
    refused, kinds = found.refused, {r.kind for r in found.refused}
    if not refused:
        return _count(target)
    if no_loss := [r for r in refused if r.kind == "no loss"]:
        return BadUsage(
            f"{target.name} is no loss: {no_loss[0].text}",
            remedy="a loss returns a tensor of real numbers that depends on its arguments",
        )
    if bad := [r for r in refused if r.kind == "not finite"]:
        return BadUsage(
            f"{target.name} gives no finite value for any ordinary input that it takes",
            seen=f"{bad[0].text} for {_names(bad)}",
            remedy="the audit needs one finite value to begin with",
        )
    if "no gradient" in kinds:
        constant = [r for r in refused if r.kind == "no gradient"]
        return BadUsage(
            f"{target.name} gives a value without a gradient: nothing can be learned from it",
            seen=f"for {_names(constant)}",
            remedy="look for detach(), item(), argmax, comparisons or no_grad in it",
        )
    best = max(refused, key=lambda r: r.hints)
    return BadUsage(
        f"{target.name} gives no loss for any known kind of input",
        seen=f"tried {len(refused)}: {_names(refused)}; as {best.task}: {best.text}",
        remedy=f"wrap it in a function of the inputs of one task; {_LIST}",
    )


def _count(target: Target) -> BadUsage:
    count, known = len(target.parameters), sorted({len(t.arguments) for t in TASKS.values()})
    return BadUsage(
        f"{target.name} gives no loss for any known kind of input",
        seen=f"it takes {count} arguments: {', '.join(target.parameters)}; known kinds take {known[0]} to {known[-1]}",
        remedy=f"wrap it in a function of the inputs of one task; {_LIST}",
    )


def _names(refused: list[Refusal]) -> str:
    names = [r.task for r in refused]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
