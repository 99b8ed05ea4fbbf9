"""From a recording to a verdict: run every rule, put causes before symptoms, say it in one sentence."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from losscope.core.finding import SEVERITIES, Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.core.verdict import State, Verdict
from losscope.recording.reader import Recording
from losscope.rules.causes import explain_symptoms, order
from losscope.rules.course import AIMLESS, INCONCLUSIVE, Course, course, worse_than_chance
from losscope.rules.reasons import no_series
from losscope.rules.rule import Outcome, Rule, all_rules
from losscope.rules.sentence import sentence
from losscope.rules.summary import expression, term_summaries, training, whole
from losscope.rules.tested import tested, untested
from losscope.rules.trainings import badness, introduced, judged, trainings

_FAULT = Text(en="internal fault: {error}", zh="内部错误：{error}")


def judge_run(
    recording: Recording, select: Collection[str] | None = None, ignore: Collection[str] | None = None
) -> Verdict:
    """Judge one run with all rules, or those of ``select`` without those of ``ignore``.

    Of several trainings one after another each is judged by itself, and the verdict is that of the worst one; what
    is shown with it should come from ``recording.focused(verdict.streams)``. A rule that raises is listed under
    ``not_judged`` as an internal fault and stops nothing. Cost: a few passes over each series.
    """
    rules = {c: r for c, r in all_rules().items() if (not select or c in select) and c not in (ignore or ())}
    every = trainings(recording)
    if len(every) < 2:
        return _judge_training(recording, rules)
    verdicts = {i: _judge_training(recording.focused(every[i]), rules) for i in judged(every)}
    worst = max(verdicts, key=lambda i: badness(verdicts[i]))
    told = introduced(verdicts[worst].sentence, worst + 1, len(every))
    return replace(verdicts[worst], sentence=told, streams=every[worst])


def _judge_training(recording: Recording, rules: Mapping[str, Rule]) -> Verdict:
    found: list[Finding] = []
    not_judged: list[tuple[str, Message]] = []
    passed: list[str] = []
    for code, rule in rules.items():
        outcome = apply(rule, recording)
        if isinstance(outcome, NotJudged):
            not_judged.append((code, outcome.why))
        elif outcome:
            found.extend(outcome)
        else:
            passed.append(code)
    findings = order(explain_symptoms(tested(found, recording), rules))
    did = course(recording, findings)
    state = _state(recording, findings, did)
    summary = training(recording, findings)
    value, at_least = whole(recording)
    return Verdict(
        state=state,
        sentence=sentence(recording, did, summary, findings),
        training=summary,
        expression=expression(recording),
        terms=term_summaries(recording),
        value=value,
        at_least=at_least,
        findings=findings,
        not_judged=(*not_judged, *untested(recording)),
        passed=tuple(passed),
    )


def apply(rule: Rule, recording: Recording) -> Outcome:
    """One rule on one recording; a missing signal or a fault of the rule becomes a reason."""
    missing = [signal.name for signal in rule.needs if not recording.labels(signal)]
    if missing:
        return no_series(*missing)
    try:
        return rule.judge(recording)
    except Exception as error:  # noqa: BLE001 - a faulty rule must not cost the reader the other findings
        return NotJudged(_FAULT(error=f"{type(error).__name__}: {error}"))


def _state(recording: Recording, findings: Iterable[Finding], did: Course) -> State:
    """Findings decide; without one a run that did not learn, or not yet better than a constant, proves nothing."""
    severities = {finding.severity for finding in findings}
    if SEVERITIES[0] in severities:
        return "wrong"
    if SEVERITIES[1] in severities:
        return "suspicious"
    measures = did not in AIMLESS
    unproven = did in INCONCLUSIVE or (measures and worse_than_chance(recording))
    return "not-enough-evidence" if unproven else "healthy"
