"""``converged``: the loss no longer changes by anything that matters.

**What it says.** Over the last half of the run the loss changed by less than 1 % of what there is to gain.

**Statistic.** Batch-means slope test on the last half: ten batches, Student's t with 8 degrees of freedom.
Converged iff the 95 % interval of the change lies inside ±1 % of chance − floor (of the range that the run has
covered, where chance or floor is unknown). An equivalence test: noise makes it undecided, never converged.

**Source.** Law (2015), Simulation Modeling and Analysis, section 9.5; Schuirmann (1987), doi:10.1007/BF01068419
(equivalence). Error rates under autocorrelation are tested in ``tests/rules``.

**Example.** A digit classifier at 0.04 nats whose loss moved by 0.003 ± 0.002 in the last 450 updates.

**Remedy.** None needed: train longer only if the validation loss says so.

**False alarms.** Context only, never a complaint. A plateau before a late drop looks the same: the statement is
about the window that it names.
"""

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import has_fallen, loss_curve
from losscope.rules.planted import falling, record
from losscope.rules.rule import Outcome, Rule

_TITLE = Text(
    en="The loss has converged: it changed by {percent:.2g} % of {of} over the last {window} updates",
    zh="损失已收敛：最后 {window} 次更新中只改变了{of_zh}的 {percent:.2g}%",
)
_KNOWN, _COVERED = ("chance − floor", "（随机水平 − 下限）"), ("the range covered", "已覆盖范围")
_EVIDENCE = Text(
    en="change over the last half: {change:.3g}, 95 % interval {low:.3g} to {high:.3g}",
    zh="后半程的变化：{change:.3g}，95% 区间为 {low:.3g} 至 {high:.3g}",
)
_EXPECTED = Text(en="within ±{bound:.3g}", zh="在 ±{bound:.3g} 之内")
_REMEDY = Text(
    en="Nothing to repair: train longer only if the validation loss still falls.",
    zh="无需修复：仅当验证损失仍在下降时才继续训练。",
)


def judge(recording: Recording) -> Outcome:
    curve = loss_curve(recording)
    if isinstance(curve, NotJudged):
        return curve
    if curve.trend.direction != "converged" or not has_fallen(curve.losses):
        return []
    moved, (of, of_zh) = curve.trend.change, _KNOWN if curve.known else _COVERED
    evidence = Evidence(
        text=_EVIDENCE(change=moved.value, low=moved.low, high=moved.high),
        signal=signals.LOSS.name,
        label=curve.stream,
        value=moved.value,
        expected=_EXPECTED(bound=curve.trend.tolerance * curve.scale),
    )
    percent = 100 * abs(curve.trend.relative)
    title = _TITLE(percent=percent, of=of, of_zh=of_zh, window=curve.window)
    return [RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="converged",
    severity="info",
    title=Text(en="The loss has converged", zh="损失已收敛"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """A loss that reached its level in the first third of the run."""
    return record(falling())


def healthy() -> Recording:
    """A loss that still falls at the end."""
    return record(falling(600, start=2.3, end=0.05)[:120])
