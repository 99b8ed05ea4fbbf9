"""``value-is-not-progress``: the number that this script minimises says nothing about how good the model is.

**What it says.** For such objectives a falling loss is no success and a rising one no fault; the curve is not
judged.

**Statistic.** None. The contract of the loss says so (critics, policy gradients), or two objectives with
different values are trained in alternation, so that each moves with the other.

**Source.** Goodfellow et al. (2014), arXiv:1406.2661; Arjovsky et al. (2017), arXiv:1701.07875 (the critic's value
is an estimate of a distance); Sutton et al. (1999) (the policy-gradient surrogate has the right gradient only).

**Example.** The generator's loss of a GAN rises from 0.7 to 3 while its pictures become better.

**Remedy.** Log a measure of quality: the return of episodes, FID, samples.

**False alarms.** Context only, never a complaint.
"""

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, every, falling, normal, record
from losscope.rules.reasons import no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import aimless_kind, coupled, main_stream

_COUPLED = Text(
    en="{streams} objectives are trained in alternation: the value of one moves with the others",
    zh="{streams} 个目标交替训练：其中一个的数值随其他目标变化",
)
_KIND = Text(
    en="the value of {kind} is a surrogate: only its gradient has a meaning",
    zh="{kind} 的数值只是代理量：只有它的梯度有意义",
)
_EXPECTED = Text(en="a separate measure of quality", zh="另有衡量质量的指标")
_REMEDY = Text(
    en="Judge this run by a measure of quality (episode return, FID, samples), not by the loss.",
    zh="请用质量指标（回合回报、FID、样本）而不是损失来判断本次运行。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    kind, rivals = aimless_kind(recording, stream), coupled(recording)
    if kind is None and rivals < 2:
        return []
    text = _KIND(kind=kind) if kind is not None else _COUPLED(streams=rivals)
    evidence = Evidence(
        text=text, signal=signals.LOSS.name, label=stream, value=float(rivals), expected=_EXPECTED()
    )
    return [RULE.finding(confidence=0.9, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="value-is-not-progress",
    severity="info",
    title=Text(en="The value of this loss does not measure progress", zh="这个损失的数值不反映训练进展"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """A GAN: discriminator and generator updated in turn, each with a loss of its own."""
    series = {(signals.LOSS, "1"): every(1, 600, 0.7 + 0.1 * normal(600, 8))}
    return record(0.7 + 0.1 * normal(600, 9), terms=[PlantedTerm(kind="bce_with_logits")], series=series)


def healthy() -> Recording:
    """Two optimisers that share one loss (one per parameter group): its value is progress."""
    loss = falling()
    return record(loss, series={(signals.LOSS, "1"): every(1, 600, loss)})
