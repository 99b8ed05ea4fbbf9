"""``losscope.audit``: every checker on one loss, and what came of it."""

import html
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from losscope.checks import pace
from losscope.checks.ambient import plain
from losscope.checks.check import Check, all_checks
from losscope.checks.engine import execute
from losscope.checks.forks import forget
from losscope.checks.grouped import infer_within
from losscope.checks.infer import Inferred, subject_of
from losscope.checks.isolation import can_isolate, in_child, run_isolated
from losscope.checks.note import Note
from losscope.checks.phrases import render
from losscope.checks.report import text
from losscope.checks.target import Target, of, resolve
from losscope.core.claims import Evidence
from losscope.core.errors import BadUsage
from losscope.core.text import Language
from losscope.losses.catalogue import specs

Progress = Callable[[int, int, str], None]
_PER_CHECK = 15.0
_BEGIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found. Truthy where no bug was found; ``repr`` is the report.

    ``bugs`` and ``conventions`` are the failures by severity, ``properties`` tells which of the properties that only
    some losses have (convex, proper, shift-invariant …) this one has; ``not_judged`` lists what could not be checked.
    """

    name: str
    task: str
    why: str
    contract: str | None
    evidence: tuple[Evidence, ...]
    seconds: float = 0.0
    arguments: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return not self.bugs

    @property
    def bugs(self) -> list[Evidence]:
        return [e for e in self.evidence if e.outcome == "fail" and e.severity == "bug"]

    @property
    def conventions(self) -> list[Evidence]:
        return [e for e in self.evidence if e.outcome == "fail" and e.severity == "convention"]

    @property
    def declared(self) -> list[Evidence]:
        """What the contract of the loss declares, with its reason."""
        return [e for e in self.evidence if e.outcome == "declared"]

    @property
    def passed(self) -> list[Evidence]:
        return [e for e in self.evidence if e.outcome == "pass"]

    @property
    def not_judged(self) -> list[Evidence]:
        return [e for e in self.evidence if e.outcome in ("not-applicable", "not-finished")]

    @property
    def properties(self) -> dict[str, bool]:
        """Whether the loss has each property that was tested.

        Where the contract says that a property is absent, passing means that the counterexample was found.
        """
        checks, spec = all_checks(), specs().get(self.contract or "")
        absent = {claim.name for claim in spec.claims if not claim.holds} if spec is not None else set()
        return {
            e.check: (e.outcome == "pass") is not (e.check in absent)
            for e in self.evidence
            if e.check in checks and checks[e.check].claim and e.outcome in ("pass", "fail", "declared")
        }

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        """Plain data: names of the public attributes, and all evidence."""
        return {
            "schema": 1,
            "loss": self.name,
            "task": self.task,
            "task_because": render(self.why, language),
            "arguments": list(self.arguments),
            "contract": self.contract,
            "seconds": round(self.seconds, 3),
            "bugs": [e.to_json(language) for e in self.bugs],
            "conventions": [e.to_json(language) for e in self.conventions],
            "declared": [e.to_json(language) for e in self.declared],
            "properties": self.properties,
            "passed": [e.to_json(language) for e in self.passed],
            "not_judged": [e.to_json(language) for e in self.not_judged],
        }

    def summary(self, language: Language = "en") -> str:
        """The report as text."""
        return text(self, language)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def audit(
    loss: Any,
    task: str | None = None,
    *,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    seconds: float = 60.0,
    isolate: bool | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Test any loss: a ``torch.nn`` module, a function, a class, a closure, or ``"package.module:Loss"``.

    Gradients and second gradients against float64 finite differences, value range, numbers at extreme inputs in every
    precision, reductions, ignored samples, broadcasting, targets that cannot be meant, mutation, determinism,
    propriety, convexity, ``torch.func``, ``torch.compile`` and more; every failure comes with the smallest
    counterexample found and lines to paste into an issue.

    ``task`` names what the loss takes (``losscope.losses.tasks.TASKS``), or a group of tasks; without it the task
    is inferred. ``only`` and ``skip`` select checks by name. The checks run in a forked child with a time limit
    (``seconds`` for all of them; for import and inference half of that, or 30 s) and a memory limit, so that a loss
    that hangs or allocates hugely cannot take this process along; what it starts ends with the audit.
    ``isolate=False`` runs them here.
    ``progress(done, total, name)`` is called before each check. The global random state is untouched.

    Raises ``BadUsage``, one line, for something that is no loss. Cost: a few seconds.

    >>> import torch
    >>> found = audit(torch.nn.MSELoss(), only=["gradient", "convex"])
    >>> found.bugs, found.task
    ([], 'regression')
    """
    checks = _selected(only, skip)
    _limited(seconds)
    target = resolve(loss, seconds=first_limit(seconds)) if isinstance(loss, str) else of(loss)
    with plain():
        return _audited(
            target, task, checks, seconds, progress, apart=can_isolate() if isolate is None else isolate
        )


def _audited(
    target: Target,
    task: str | None,
    checks: list[Check],
    seconds: float,
    progress: Progress | None,
    *,
    apart: bool,
) -> Audit:
    began = time.perf_counter()
    forget()
    pace.forget()
    target, inferred = _taken(target, task, seconds, apart=apart)
    subject = subject_of(target, inferred)
    evidence: list[Evidence] = []
    if progress is not None and checks:
        progress(0, len(checks), checks[0].name)
    runner = (
        run_isolated(subject, checks, per_check=_per_check(seconds), total=seconds)
        if apart
        else ((check, execute(check, subject)) for check in checks)
    )
    for done, (_, found) in enumerate(runner, 1):
        evidence.extend(found)
        if progress is not None:
            progress(done, len(checks), checks[done].name if done < len(checks) else "")
    return Audit(
        name=target.name,
        task=inferred.task,
        why=inferred.why,
        contract=inferred.contract,
        evidence=tuple(evidence),
        seconds=time.perf_counter() - began,
        arguments=tuple(f"{a.name}: {a.kind} [{a.axes or a.of.axes}]" for a in subject.arguments),
    )


def _per_check(seconds: float) -> float:
    """One check that hangs must leave time for the others; whoever gives more time has a slow loss."""
    return max(min(_PER_CHECK, max(1.0, seconds / 4)), seconds / 16)


def first_limit(seconds: float) -> float:
    """The limit for the import, and for finding out what the loss takes: half of all, and 30 s of the usual 60."""
    return min(seconds, max(_BEGIN, seconds / 2))


def _taken(target: Target, task: str | None, seconds: float, *, apart: bool) -> tuple[Target, Inferred]:
    """The target, with tensors for lists among its options where it refuses lists, and what it takes."""
    try:
        return target, _inferred(target, task, seconds, apart=apart)
    except BadUsage as error:
        if target.as_tensors is None:
            raise
        other = target.as_tensors()
        try:
            return other, _inferred(other, task, seconds, apart=apart)
        except BadUsage:
            raise error from None


def _inferred(target: Target, task: str | None, seconds: float, *, apart: bool) -> Inferred:
    if not apart:
        return infer_within(target, task)
    specs()  # the catalogue is read before the clock runs
    note = Note()
    try:
        return in_child(lambda _: infer_within(target, task, note.write), first_limit(seconds))
    except TimeoutError:
        raise BadUsage(
            f"{target.name} did not answer within {first_limit(seconds):g} s",
            seen=f"{pace.told(first_limit(seconds))}; as {note.words or 'any task'}",
            remedy=f"raise the limit with --seconds {4 * math.ceil(first_limit(seconds))}"
            + ("" if task or note.count < 2 else ", or name its --task"),
        ) from None
    except ChildProcessError as error:
        raise BadUsage(f"{target.name} ended the process that called it", seen=str(error)) from None
    except MemoryError:
        raise BadUsage(
            f"{target.name} runs out of memory on a small batch", seen=f"as {note.words or 'any task'}"
        ) from None


def _selected(only: Collection[str], skip: Collection[str]) -> list[Check]:
    checks = all_checks()
    for name in sorted({*only, *skip} - set(checks)):
        near = get_close_matches(name, checks, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise BadUsage("no check has this name", seen=name, remedy=f"{hint}known: " + ", ".join(checks))
    chosen = [c for name, c in checks.items() if (not only or name in only) and name not in skip]
    if not chosen:
        words = [f"{word} {', '.join(names)}" for word, names in (("only", only), ("skip", skip)) if names]
        raise BadUsage("no check is left to run", seen="; ".join(words), remedy="skip fewer checks")
    return chosen


def _limited(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise BadUsage("the time limit is no number of seconds above 0", seen=f"seconds={seconds}")
