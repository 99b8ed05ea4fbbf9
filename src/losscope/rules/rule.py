"""What a rule is: a code, what it needs, and a pure function from a recording to findings.

A rule is one file in this package with, at module level, ``RULE`` and two functions without arguments that
return recordings made in memory: ``broken`` plants the fault that the rule must report, ``healthy`` its
nearest harmless look-alike, on which it must stay silent. The module docstring is the rule's reference page;
:func:`sections` reads it. Nothing has to be registered.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from losscope.core.finding import Evidence, Finding, NotJudged, Severity, Where
from losscope.core.registry import discover
from losscope.core.text import Message, Text
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal

Outcome = list[Finding] | NotJudged
Judge = Callable[[Recording], Outcome]

SECTIONS = ("What it says", "Statistic", "Source", "Example", "Remedy", "False alarms")
"""Sections that the docstring of every rule has, in this order, each opened by ``**Name.**``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``severity`` is the highest it gives; ``consequences`` are codes that its finding explains.

    ``judge`` returns findings, an empty list when the run passes, or :class:`NotJudged` with the reason when
    the recording does not hold enough to tell. It is not called where a series of ``needs`` is absent.
    """

    code: str
    severity: Severity
    title: Text
    judge: Judge
    needs: tuple[Signal, ...] = ()
    consequences: tuple[str, ...] = ()

    def finding(
        self,
        *,
        evidence: tuple[Evidence, ...],
        remedy: Message,
        confidence: float,
        title: Message | None = None,
        severity: Severity | None = None,
        where: Where | None = None,
    ) -> Finding:
        """A finding of this rule; title and severity default to the rule's own."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            confidence=confidence,
            title=title or self.title(),
            evidence=evidence,
            remedy=remedy,
            where=where,
        )


def all_rules() -> dict[str, Rule]:
    """Every rule by code, in the order of the codes."""
    found = discover("losscope.rules", "RULE").values()
    return {rule.code: rule for rule in sorted(found, key=lambda rule: rule.code)}


def documentation(code: str) -> str:
    """The docstring of the module that holds the rule with this code. Raises ``KeyError`` for an unknown code."""
    modules = {rule.code: name for name, rule in discover("losscope.rules", "RULE").items()}
    return import_module(modules[code]).__doc__ or ""


def sections(documentation: str) -> dict[str, str]:
    """Split a rule's docstring into its sections, by name; the opening sentence has the empty name."""
    parts = re.split(r"^\*\*([^*\n]+)\.\*\*\s*", documentation, flags=re.MULTILINE)
    names = ["", *parts[1::2]]
    return {name: body.strip() for name, body in zip(names, parts[0::2], strict=True)}
