"""Which scripts there are: programs, each healthy, and programs with one fault; and how they are split."""

import importlib
import pkgutil
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import faults
import harmless
from edits import Change

HERE = Path(__file__).parent
PER_FAULT = 3
HEALTHY = 160


@dataclass(frozen=True)
class Case:
    """One script: ``codes`` are the right findings, none for a healthy one; ``part`` is tune, mixed or report."""

    name: str
    program: str
    change: str
    codes: tuple[str, ...]
    part: str
    text: str


def programs() -> dict[str, str]:
    """The healthy programs, by name."""
    return {path.stem: path.read_text() for path in sorted((HERE / "programs").glob("*.py"))}


def chance(text: str) -> float:
    """The result that the program has where nothing is learnt."""
    return float(re.findall(r"chance=(\S+?)\"*$", text.splitlines()[0])[0])


def fault_changes() -> list[Change]:
    """Every fault of every family, in the order of the names."""
    found = [
        c
        for info in pkgutil.iter_modules(faults.__path__)
        for c in importlib.import_module(f"faults.{info.name}").CHANGES
    ]
    return sorted(found, key=lambda change: change.name)


def _halves(names: list[str], seed: int) -> set[str]:
    """Half of the names, drawn once and for all: those that may be looked at while rules are mended."""
    shuffled = sorted(names)
    Random(seed).shuffle(shuffled)
    return set(shuffled[: len(shuffled) // 2])


def _part(tuned: tuple[bool, bool]) -> str:
    return "tune" if all(tuned) else "mixed" if any(tuned) else "report"


def faulty() -> list[Case]:
    """Every fault in up to ``PER_FAULT`` programs to which it applies, those that were used least first."""
    texts, used, cases = programs(), Counter(), []
    open_programs = _halves(list(texts), 1)
    changes = fault_changes()
    open_faults = _halves([c.name for c in changes], 2)
    for change in changes:
        fitting = {name: made for name, text in texts.items() if (made := change.edit(text)) is not None}
        for name in sorted(fitting, key=lambda n: (used[n], n))[:PER_FAULT]:
            used[name] += 1
            part = _part((change.name in open_faults, name in open_programs))
            cases.append(
                Case(
                    f"{name}--{change.name.replace(' ', '_')}",
                    name,
                    change.name,
                    change.codes,
                    part,
                    fitting[name],
                )
            )
    return cases


def healthy() -> list[Case]:
    """The programs as they are, and with one to three harmless changes, drawn with a fixed seed."""
    texts, random, cases = programs(), Random(3), []
    open_programs = _halves(list(texts), 1)
    seen: set[str] = set()
    for turn in range(100):
        for name, text in texts.items():
            made, names = text, []
            for change in random.sample(harmless.CHANGES, len(harmless.CHANGES)):
                if len(names) >= (0 if turn == 0 else 1 + turn % 3):
                    break
                if not _clash(change.name, names) and (next_text := change.edit(made)) is not None:
                    made, names = next_text, [*names, change.name]
            if made not in seen and len(cases) < HEALTHY:
                seen.add(made)
                part = "tune" if name in open_programs else "report"
                title = "+".join(names).replace(" ", "_") or "as_it_is"
                cases.append(Case(f"{name}--{title}", name, "", (), part, made))
    return cases


_FAMILIES = (
    ("SGD", "AdamW", "RAdam", "learning rate", "summed"),
    ("restarts", "warm-up", "quarter", "accumulated"),
    ("clipping",),
    ("batches",),
    ("zero_grad", "accumulated", "p.grad"),
)


def _clash(name: str, others: list[str]) -> bool:
    """Whether two changes are of one kind: both choose the step, or both the schedule."""
    return any(
        any(word in name for word in family) and any(word in other for word in family)
        for family in _FAMILIES
        for other in others
    )


def cases() -> list[Case]:
    return [*healthy(), *faulty()]
