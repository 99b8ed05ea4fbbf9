"""What a checker is: one file with ``CHECK``, and two planted subjects.

``CHECK.run(subject)`` yields results. ``broken()`` gives a loss that the checker must catch, ``sound()`` its nearest
harmless neighbour, on which it must stay silent. The module docstring is the checker's reference page. Nothing has
to be registered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.checks.subject import Subject
from losscope.core.claims import Severity
from losscope.core.registry import discover
from losscope.core.text import Message, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One answer. ``fails(case)`` tells again whether a case shows the fault: it drives the shrinking.

    ``severity`` is ``None`` for a pass; ``skipped`` marks "not applicable". ``call`` is the expression of the repro,
    with ``{args}`` for the arguments. ``again(case)`` gives the figures of the message for another case, so that what
    is said is what the shrunken case shows; "seen" and "expected" among them also stand beside the repro.
    """

    text: Message
    severity: Severity | None = None
    skipped: bool = False
    case: Sequence[Tensor] | None = None
    fails: Callable[[Sequence[Tensor]], bool] | None = None
    again: Callable[[Sequence[Tensor]], Mapping[str, Any]] | None = None
    seen: str = ""
    expected: str = ""
    call: str = "print(loss({args}))"
    requires_grad: bool = False
    subject: Subject | None = None
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One checker. ``claim``: it tests a property that only some losses are meant to have, so that a failure matters
    only against a claim; ``needs_contract``: it makes sense only where a contract is known. ``slow`` ones come last.
    """

    name: str
    title: Text
    run: Callable[[Subject], Iterable[Result]]
    claim: bool = False
    needs_contract: bool = False
    slow: bool = False


def all_checks() -> dict[str, Check]:
    """Every checker by name: those that cost little first, then by name."""
    found = discover("losscope.checks", "CHECK").values()
    return {check.name: check for check in sorted(found, key=lambda c: (c.slow, c.claim, c.name))}


def severity_in(subject: Subject, dtype: torch.dtype) -> Severity:
    """Of a wrong number in one precision. torch's own operators fail in half precision (cross-entropy overflows, the
    direction of a zero vector is NaN): of somebody's loss that is no more than a surprise.
    """
    return "convention" if dtype in (torch.float16, torch.bfloat16) and not subject.described else "bug"


def passed(text: Text, figures: dict[str, float] | None = None, **values: Any) -> Result:
    return Result(text=text(**values), figures=figures or {})


def skipped(text: Text, **values: Any) -> Result:
    return Result(text=text(**values), skipped=True)


def failed(severity: Severity, message: Message, **how: Any) -> Result:
    return Result(text=message, severity=severity, **how)
