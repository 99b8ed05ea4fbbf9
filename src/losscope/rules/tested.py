"""Findings that were tested by a trial: confirmed ones gain evidence, refuted ones are no complaints any more.

What a trial found lies in ``trials.json`` of the run folder. A refuted finding becomes a remark with the reason, and
explains no other; a confirmed one is as certain as an experiment makes it. One that was left open stays as it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Message, Text
from losscope.recording.reader import Recording
from losscope.recording.trials_file import Tried, read_trials

EXPERIMENT = "experiment"
NAME = "trials"
_CONFIRMED, _REFUTED = 0.99, 0.2  # confidence afterwards, at least and at most
_WHY = Text(en="nothing could be tried: {why}", zh="无法进行实验：{why}")
_ORDER = ("confirmed", "refuted", "open")


def tested(findings: Iterable[Finding], recording: Recording) -> list[Finding]:
    """Every finding with the trial that says most about it."""
    tried = [t for t in read_trials(recording.folder).tried if recording.shows({"stream": t.stream})]
    return [_with(f, [t for t in tried if t.code == f.code]) for f in findings]


def untested(recording: Recording) -> list[tuple[str, Message]]:
    """Why there were no trials, where some were wanted."""
    why = read_trials(recording.folder).why
    return [] if why is None else [(NAME, _WHY(why=why()))]


def _with(finding: Finding, tried: Sequence[Tried]) -> Finding:
    if not tried:
        return finding
    one = min(tried, key=lambda t: _ORDER.index(t.result.outcome))
    outcome = one.result.outcome
    evidence = Evidence(
        text=one.text(),
        signal=EXPERIMENT,
        label=one.result.name,
        value=one.result.effect,
        expected=one.expected(),
    )
    if outcome == "confirmed":
        found = replace(finding, evidence=(evidence, *finding.evidence), trial=one.result)
        return replace(found, confidence=max(finding.confidence, _CONFIRMED))
    if outcome == "refuted":
        found = replace(finding, evidence=(evidence, *finding.evidence), trial=one.result)
        return replace(found, severity="info", confidence=min(finding.confidence, _REFUTED))
    return replace(finding, evidence=(*finding.evidence, evidence), trial=one.result)
