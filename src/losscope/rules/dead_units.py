"""``dead-units``: ReLU units that give 0 for every sample and get no gradient any more.

**What it says.** Most units of a layer are off for all data; their weights get no gradient, so that they stay off.

**Statistic.** A unit counts where its output was 0 for all samples of the batch *and* the gradient of its incoming
weights was exactly 0, at three sampled updates in a row. *Error* where nine tenths of a layer are dead and the run is
not learning (at chance, diverged, not falling), *warning* where half are, or where a level that was reached is lost;
else *info*. Half of the outputs of a healthy ReLU layer are 0, but not all those of one unit.

**Source.** Lu, Shin, Su and Karniadakis (2020), *Dying ReLU and Initialization*, arXiv:1903.06733; Maas et al. (2013).

**Example.** One update with a learning rate of 10 moves all biases far below zero: the output is constant from then on.

**Remedy.** A smaller learning rate, He initialisation with zero biases, normalised inputs; LeakyReLU or GELU where
units must not be lost.

**False alarms.** Silent on sparse activations, on rare features, on runs that learn, and where the data are all zero.
"""

from losscope.core.finding import Evidence, Finding, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, every, falling, flat, optimizer, record
from losscope.rules.plateau_above_floor import judge as lost_level
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream
from losscope.rules.units import HALF, NEARLY_ALL, Share, lasting_deficit, layer_of, no_data, shares

_TITLE = Text(en="{share} of the units of {layer} are dead", zh="{layer} 中 {share} 的单元已失活")
_START = Text(
    en="{share} of its units gave 0 for all samples and got no gradient, from the first samples on",
    zh="其中 {share} 的单元对所有样本输出 0 且没有梯度，从最初的采样起即如此",
)
_LATER = Text(
    en="{share} of its units gave 0 for all samples and got no gradient, since update {step} or before",
    zh="其中 {share} 的单元对所有样本输出 0 且没有梯度，最迟自第 {step} 次更新起",
)
_EXPECTED = Text(en="units that answer to some samples", zh="单元应对部分样本有响应")
_REMEDY_START = Text(
    en="Initialise with nn.init.kaiming_normal_ and zero biases, and normalise the inputs.",
    zh="用 nn.init.kaiming_normal_ 初始化权重、偏置置零，并对输入做归一化。",
)
_REMEDY_LATER = Text(
    en="Divide the learning rate by 10; nn.LeakyReLU or nn.GELU in place of nn.ReLU lets units come back.",
    zh="把学习率除以 10；用 nn.LeakyReLU 或 nn.GELU 代替 nn.ReLU 可使单元恢复。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    found = [s for s in shares(recording, stream, signals.UNITS_DEAD) if s.share >= HALF]
    if not found or no_data(recording):
        return []
    worst = max(found, key=lambda s: (s.share >= NEARLY_ALL, -s.since))
    return [_finding(worst, _severity(recording, worst.share))]


def _severity(recording: Recording, share: float) -> Severity:
    deficit = lasting_deficit(recording)
    if deficit is not None and not isinstance(deficit, NotJudged):
        return "error" if share >= NEARLY_ALL else "warning"
    return "warning" if share >= NEARLY_ALL and _lost(recording) else "info"


def _lost(recording: Recording) -> bool:
    outcome = lost_level(recording)
    return not isinstance(outcome, NotJudged) and bool(outcome)


def _finding(found: Share, severity: Severity) -> Finding:
    shown = f"{100 * found.share:.0f} %"
    text = _START(share=shown) if found.from_the_start else _LATER(share=shown, step=found.since)
    evidence = Evidence(
        text=text,
        signal=signals.UNITS_DEAD.name,
        label=found.name,
        value=found.share,
        expected=_EXPECTED(),
        steps=(found.since,),
    )
    return RULE.finding(
        title=_TITLE(share=shown, layer=layer_of(found.name)),
        severity=severity,
        confidence=0.9,
        evidence=(evidence,),
        remedy=_REMEDY_START() if found.from_the_start else _REMEDY_LATER(),
    )


RULE = Rule(
    code="dead-units",
    severity="error",
    title=Text(en="Units are dead", zh="单元失活"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "graph-broken",
        "input-has-no-effect",
        "learning-rate-too-low",
        "loss-at-chance",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """All units of the second layer die in the first updates, and the loss stays at chance."""
    share = every(20, 600, [0.1, 0.6, *[1.0] * 28])
    return record(flat(), series={(signals.UNITS_DEAD, PARAMETERS[1]): share}, events=[optimizer()])


def healthy() -> Recording:
    """A tenth of the units is dead in a model that learns."""
    return record(falling(), series={(signals.UNITS_DEAD, PARAMETERS[1]): every(20, 600, 0.1)})
