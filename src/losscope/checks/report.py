"""The report of an audit as text for a terminal."""

import textwrap
from typing import TYPE_CHECKING

from losscope.checks.phrases import render
from losscope.core.claims import Evidence
from losscope.core.text import Language, Text

if TYPE_CHECKING:
    from losscope.checks.audit import Audit

_HEAD = Text(en="{name}, as {task} ({why})", zh="{name}，任务 {task}（{why}）")
_CONTRACT = Text(en="contract: {contract}", zh="契约：{contract}")
_SENTENCE = Text(
    en="bugs: {bugs}, conventions: {conventions}, passed: {passed}, not applicable: {unjudged} · {seconds:.1f} s",
    zh="{bugs} 个缺陷，{conventions} 个惯例问题，{passed} 项通过，{unjudged} 项不适用 · {seconds:.1f} 秒",
)
_BUG, _CONVENTION = Text(en="bug", zh="缺陷"), Text(en="convention", zh="惯例")
_DECLARED = Text(en="declared", zh="已声明")
_YES, _NO = Text(en="has", zh="具有"), Text(en="has not", zh="不具有")
_PROPERTIES = Text(en="properties", zh="性质")
_UNFINISHED = Text(en="not finished", zh="未完成")


def text(audit: "Audit", language: Language = "en") -> str:
    """Worst first: bugs with their repro, conventions, what the contract declares, properties, what did not finish."""
    lines = [_HEAD(name=audit.name, task=audit.task, why=render(audit.why, language)).render(language)]
    if audit.contract:
        lines.append(_CONTRACT(contract=audit.contract).render(language))
    lines.append("")
    for evidence in audit.bugs:
        lines += _failure("✗", _BUG().render(language), evidence, language)
    for evidence in audit.conventions:
        lines += _failure("!", _CONVENTION().render(language), evidence, language)
    for evidence in audit.declared:
        lines.append(f"· {_DECLARED().render(language)} {evidence.check}: {evidence.text.render(language)}")
    lines += _properties(audit, language)
    for evidence in audit.evidence:
        if evidence.outcome == "not-finished":
            lines.append(
                f"? {_UNFINISHED().render(language)} {evidence.check}: {evidence.text.render(language)}"
            )
    numbers = {
        "bugs": len(audit.bugs),
        "conventions": len(audit.conventions),
        "passed": len(audit.passed),
        "unjudged": len(audit.not_judged),
    }
    lines += ["", _SENTENCE(**numbers, seconds=audit.seconds).render(language)]
    return "\n".join(lines)


def _failure(mark: str, severity: str, evidence: Evidence, language: Language) -> list[str]:
    lines = [f"{mark} {severity} {evidence.check}: {evidence.text.render(language)}"]
    if evidence.counterexample is not None:
        lines.append(textwrap.indent(evidence.counterexample.repro, "      "))
    return lines


def _properties(audit: "Audit", language: Language) -> list[str]:
    found = audit.properties
    if not found:
        return []
    lines = [f"{_PROPERTIES().render(language)}:"]
    for mark, word, wanted in (("✓", _YES, True), ("–", _NO, False)):
        names = [name for name, has in found.items() if has is wanted]
        if names:
            lines.append(f"  {mark} {word().render(language)}: {', '.join(names)}")
    return lines
