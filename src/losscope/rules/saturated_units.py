"""``saturated-units``: hidden tanh or sigmoid units stand at the ends of their range, where they have no slope.

**What it says.** The derivative of most hidden units of a layer is close to zero for nearly all samples, so that hardly
any gradient passes.

**Statistic.** Only where the run is not learning. A unit counts where the derivative is below 1 % of its largest value
for at least 95 % of the samples of a batch. Reported is the first layer with at least half of its units so, in the
median over the later half of the sampled updates: *error* from nine tenths on, else *warning*. Outputs that go into the
loss are no hidden units and do not count, however sure they are.

**Source.** Glorot and Bengio (2010), section 3; LeCun et al. (1998), *Efficient BackProp*, section 4.4.

**Example.** Inputs from 0 to 255 into ``nn.Linear`` and ``nn.Tanh``: sums of hundreds, a derivative of zero.

**Remedy.** Normalise the inputs, initialise with ``nn.init.xavier_uniform_``, or use ReLU with normalisation layers.

**False alarms.** Silent on every run that learns: gates that are open or shut, binary codes.
"""

from losscope.core.finding import Evidence, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, every, falling, flat, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream
from losscope.rules.units import HALF, NEARLY_ALL, lasting_deficit, layer_of, shares

_TITLE = Text(en="{share} of the units of {layer} are saturated", zh="{layer} 中 {share} 的单元处于饱和状态")
_START = Text(
    en="{share} of its units had no slope for nearly all samples, from the first update on",
    zh="其中 {share} 的单元对几乎所有样本斜率接近零，从第一次更新起即如此",
)
_LATER = Text(
    en="{share} of its units had no slope for nearly all samples, since update {step} or before",
    zh="其中 {share} 的单元对几乎所有样本斜率接近零，最迟自第 {step} 次更新起",
)
_EXPECTED = Text(en="units with a slope for some samples", zh="单元应对部分样本有斜率")
_REMEDY = Text(
    en="Normalise the inputs (mean 0, deviation 1), initialise with nn.init.xavier_uniform_, and divide the learning "
    "rate by 10 if the units saturated later on.",
    zh="对输入做标准化（均值 0、标准差 1），用 nn.init.xavier_uniform_ 初始化；若单元是后来才饱和的，把学习率除以 10。",
)


def judge(recording: Recording) -> Outcome:
    deficit = lasting_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    stream = main_stream(recording) or "0"
    found = [s for s in shares(recording, stream, signals.UNITS_SATURATED) if s.share >= HALF]
    if deficit is None or not found:
        return []
    first = found[0]
    shown = f"{100 * first.share:.0f} %"
    evidence = Evidence(
        text=_START(share=shown) if first.from_the_start else _LATER(share=shown, step=first.since),
        signal=signals.UNITS_SATURATED.name,
        label=first.name,
        value=first.share,
        expected=_EXPECTED(),
        steps=(first.since,),
    )
    severity: Severity = "error" if first.share >= NEARLY_ALL else "warning"
    title = _TITLE(share=shown, layer=layer_of(first.name))
    return [
        RULE.finding(title=title, severity=severity, confidence=0.85, evidence=(evidence,), remedy=_REMEDY())
    ]


RULE = Rule(
    code="saturated-units",
    severity="error",
    title=Text(en="Hidden units are saturated", zh="隐藏单元饱和"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "graph-broken",
        "input-has-no-effect",
        "learning-rate-too-low",
        "loss-at-chance",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """All units of the first layer are at the ends of their range, and the loss stays at chance."""
    series = {(signals.UNITS_SATURATED, PARAMETERS[0]): every(20, 600, 0.97)}
    return record(flat(), series=series, events=[optimizer()])


def healthy() -> Recording:
    """Gates that are open or shut in a model that learns."""
    return record(falling(), series={(signals.UNITS_SATURATED, PARAMETERS[0]): every(20, 600, 0.97)})
