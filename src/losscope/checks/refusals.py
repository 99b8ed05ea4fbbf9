"""One line for a loss that gives nothing to examine: what it does, what was tried, and what can be done."""

import re
from collections import Counter

from losscope.checks.candidates import Refusal, Search
from losscope.checks.target import Target
from losscope.core.errors import BadUsage
from losscope.losses.tasks import TASKS

_GPU = re.compile(
    r"not (compiled|linked) with (CUDA|ROCM|HIP|MPS|XPU)|no NVIDIA driver|No (CUDA|HIP) GPUs|"
    r"Cannot access accelerator|backend is unavailable",
    re.IGNORECASE,
)
_BYTES = re.compile(r"tried to allocate (\d+) bytes", re.IGNORECASE)
_MEMORY = (
    "MemoryError",
    "OutOfMemoryError",
    "_ArrayMemoryError",
    "AcceleratorError: CUDA error: out of memory",
)
_SIZE = "look for a size that has nothing to do with its inputs"
_FILES = ("ModuleNotFoundError", "ImportError", "FileNotFoundError", "PermissionError", "ConnectionError")
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
    if (cause := surroundings(target, refused)) is not None:
        return cause
    best = max(refused, key=lambda r: r.hints)
    return BadUsage(
        f"{target.name} gives no loss for any known kind of input",
        seen=f"tried {len(refused)}: {_names(refused)}; as {best.task}: {best.text}",
        remedy=f"wrap it in a function of the inputs of one task; {_LIST}",
    )


def surroundings(target: Target, refused: list[Refusal]) -> BadUsage | None:
    """The fault where most kinds of input end in one and the same error that no other input would mend."""
    told = [words for r in refused if r.kind == "raised" and (words := _environmental(r.text))]
    if not told:
        return None
    (what, remedy), count = Counter(told).most_common(1)[0]
    if 2 * count <= len(refused):
        return None
    text = next(r.text for r in refused if r.kind == "raised" and _environmental(r.text) == (what, remedy))
    return BadUsage(f"{target.name} {what}", seen=text, remedy=remedy)


def _environmental(text: str) -> tuple[str, str] | None:
    """What a loss wants of the machine or of the process, by its error; and what can be done."""
    if _GPU.search(text):
        return "needs a GPU", "move nothing in the loss: let it follow the device of its inputs"
    if text.startswith(("SystemExit", "KeyboardInterrupt")):
        return "ends the process that calls it", "let it raise an error of its own"
    if found := _BYTES.search(text):
        return f"asks for {float(found.group(1)) / 1e9:,.4g} GB for a small batch", _SIZE
    if text.startswith(_MEMORY):
        return "runs out of memory on a small batch", _SIZE
    if text.startswith(_FILES):
        return "needs something that is not here", "make it available, or build the loss without it"
    return None


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
