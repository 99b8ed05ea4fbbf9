"""Causes before symptoms: which finding explains which, and in what order they are read."""

from collections.abc import Iterable, Mapping

from losscope.core.finding import SEVERITIES, Finding
from losscope.rules.rule import Rule

MIN_CAUSE_CONFIDENCE = 0.5
"""A cause that is less likely than not explains nothing."""
_LIKEWISE = {"loss-below-chance": "loss-at-chance"}
"""What keeps a model at chance may take it below: these codes are explained by what explains the others."""


def explain_symptoms(findings: Iterable[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
    """File every finding that another present finding explains under that one.

    A finding B has the cause A where ``rules[A].consequences`` holds B, directly or through another *present*
    finding. Of several causes the one at the root wins: one that nothing else explains, the most severe, then
    the most confident. Two findings that explain each other: the more confident one is the cause, so that no
    cycle arises. ``info`` findings and those with a confidence below 0.5 are no causes.
    """
    listed = list(findings)
    parents: dict[str, str] = {}
    for finding in sorted(listed, key=_rank, reverse=True):  # the weakest looks for its cause first
        causes = [other for other in listed if _explains(other, finding, rules)]
        acceptable = [c for c in sorted(causes, key=_rank) if not _descends(c.code, finding.code, parents)]
        if acceptable:
            parents[finding.code] = acceptable[0].code
    return [f.caused_by(_root(f.code, parents)) if f.code in parents else f for f in listed]


def order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Root causes first, each by severity, number of findings explained and confidence; then symptoms."""
    listed = list(findings)
    explained = {f.code: sum(g.because_of == f.code for g in listed) for f in listed}

    def key(finding: Finding) -> tuple[bool, int, int, float, str]:
        return (
            finding.because_of is not None,
            SEVERITIES.index(finding.severity),
            -explained[finding.code],
            -finding.confidence,
            finding.code,
        )

    return tuple(sorted(listed, key=key))


def _explains(cause: Finding, symptom: Finding, rules: Mapping[str, Rule]) -> bool:
    if cause.code == symptom.code or cause.severity == "info" or cause.confidence < MIN_CAUSE_CONFIDENCE:
        return False
    rule = rules.get(cause.code)
    alike = _LIKEWISE.get(symptom.code)
    return rule is not None and (symptom.code in rule.consequences or alike in rule.consequences)


def _rank(finding: Finding) -> tuple[int, float, str]:
    return SEVERITIES.index(finding.severity), -finding.confidence, finding.code


def _descends(code: str, ancestor: str, parents: Mapping[str, str]) -> bool:
    while code in parents:
        code = parents[code]
        if code == ancestor:
            return True
    return False


def _root(code: str, parents: Mapping[str, str]) -> str:
    while code in parents:
        code = parents[code]
    return code
