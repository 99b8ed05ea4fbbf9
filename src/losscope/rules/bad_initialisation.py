"""``bad-initialisation``: units that are all the same, or weights so large or small that no signal gets through.

**What it says.** Either the units of a layer started with the same weights and can never differ, or the first
forward pass blew the signal up or let it die.

**Statistic.** *Symmetric*: the rows of a weight matrix were the same, to a millionth of its norm, at every sampled
update, although a gradient moved them: by arithmetic, equal units get equal gradients. No gate, except for weights of
zero that get no gradient: these count where the run does not learn. *Scale*: only where the run is not learning. At the
first update the root mean square of the inputs of the last layer is below 1/1000 or above 1000 times that of the data;
or the loss is over ten times its chance level while a layer multiplies signals by more than five (the norm of a unit's
weights; 1.4 with He initialisation).

**Source.** Glorot and Bengio (2010); He et al. (2015), arXiv:1502.01852; Rumelhart, Hinton and Williams (1986) on
symmetry breaking.

**Example.** ``nn.init.constant_(m.weight, 0.1)`` for all layers; ``nn.init.normal_(m.weight)`` with its deviation of 1.

**Remedy.** ``nn.init.kaiming_normal_`` for ReLU, ``nn.init.xavier_uniform_`` for tanh, zero for biases.

**False alarms.** Silent on last layers and residual branches that start at zero (Fixup, LoRA): their rows differ after
one update. Large or small weights are no complaint in a run that learns, behind normalisation layers for example.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import Deficit
from losscope.rules.layer_profile import FACTOR
from losscope.rules.planted import PARAMETERS, Planted, every, falling, flat, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values
from losscope.rules.terms import terms
from losscope.rules.units import ENOUGH, in_order, lasting_deficit, layer_of

_SAME = 1e-6
_FAR_ABOVE_CHANCE, _LARGE_GAIN = 10.0, 5.0
_ALIKE = Text(
    en="All units of {layer} are the same: they started with equal weights",
    zh="{layer} 的所有单元相同：初始权重相等",
)
_ROWS = Text(
    en="the rows of its weights differed by {apart:.1g} of their norm at each of {count} sampled updates",
    zh="在 {count} 次采样更新中，其权重各行之差始终只有范数的 {apart:.1g}",
)
_DIES = Text(
    en="The signal dies in the first forward pass: {ratio:.1g} of it reaches {layer}",
    zh="信号在首次前向传播中消失：到达 {layer} 时只剩 {ratio:.1g}",
)
_GROWS = Text(
    en="The signal grows {ratio:.1g} times in the first forward pass, up to {layer}",
    zh="信号在首次前向传播中放大 {ratio:.1g} 倍，直至 {layer}",
)
_LEVELS = Text(
    en="at the first update the input of {first_name} had a root mean square of {first:.2g}, that of {last_name} "
    "{last:.2g}",
    zh="首次更新时，{first_name} 输入的均方根为 {first:.2g}，{last_name} 输入的为 {last:.2g}",
)
_LARGE = Text(
    en="The weights of {layer} start too large: the first loss is {times:.3g} times the chance level",
    zh="{layer} 的初始权重过大：首次损失是随机水平的 {times:.3g} 倍",
)
_GAIN = Text(
    en="the weights of one unit of {layer} have a norm of {gain:.3g}",
    zh="{layer} 中一个单元的权重范数为 {gain:.3g}",
)
_EXPECTED_ROWS = Text(en="rows that differ", zh="各行互不相同")
_EXPECTED_SCALE = Text(en="a signal of the same size in all layers", zh="各层信号大小相近")
_EXPECTED_GAIN = Text(en="about 1; 1.4 for ReLU", zh="约为 1；ReLU 为 1.4")
_REMEDY = Text(
    en="Initialise the weights with nn.init.kaiming_normal_ (ReLU) or nn.init.xavier_uniform_ (tanh) and the biases "
    "with zeros, or leave torch's own initialisation.",
    zh="用 nn.init.kaiming_normal_（ReLU）或 nn.init.xavier_uniform_（tanh）初始化权重、偏置置零，"
    "或保留 torch 的默认初始化。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    deficit = lasting_deficit(recording)
    found = _symmetric(recording, stream, deficit)
    if found is not None:
        return [found]
    if isinstance(deficit, NotJudged):
        return deficit
    found = None if deficit is None else _levels(recording, stream) or _gain(recording, stream)
    return [found] if found else []


def _symmetric(recording: Recording, stream: str, deficit: Deficit | NotJudged | None) -> Finding | None:
    for name in in_order(recording, stream, signals.UNITS_ALIKE):
        apart = values(recording, signals.UNITS_ALIKE, name)
        if apart.size < ENOUGH or apart.max() > _SAME:
            continue
        gradient = values(recording, signals.GRADIENT_NORM_PARAMETER, name)
        moved = gradient.size > 0 and bool(np.median(gradient) > 0)
        if moved or deficit in {"at-chance", "no-fall"}:
            text = _ROWS(apart=float(apart.max()), count=int(apart.size))
            evidence = _evidence(signals.UNITS_ALIKE.name, name, float(apart.max()), text, _EXPECTED_ROWS())
            return _finding(_ALIKE(layer=layer_of(name)), 0.95 if moved else 0.8, evidence)
    return None


def _levels(recording: Recording, stream: str) -> Finding | None:
    """From the input of the first layer that gets data to that of the last layer."""
    names = in_order(recording, stream, signals.LAYER_INPUT)
    data = [n for n in names if n in recording.labels(signals.INPUT_LARGEST)]
    known = [n for n in names if values(recording, signals.LAYER_INPUT, n).size]
    if not data or len(known) < 2 or known[-1] == data[0]:
        return None
    first, last = (float(values(recording, signals.LAYER_INPUT, n)[0]) for n in (data[0], known[-1]))
    ratio = last / first if first > 0 else 0.0
    if not ratio > 0 or 1 / FACTOR < ratio < FACTOR:
        return None
    text = _LEVELS(first=first, first_name=layer_of(data[0]), last=last, last_name=layer_of(known[-1]))
    evidence = _evidence(signals.LAYER_INPUT.name, known[-1], ratio, text, _EXPECTED_SCALE())
    title = (_DIES if ratio < 1 else _GROWS)(ratio=ratio, layer=layer_of(known[-1]))
    return _finding(title, 0.85, evidence)


def _gain(recording: Recording, stream: str) -> Finding | None:
    judged = [t for t in terms(recording, stream) if t.chance is not None and t.chance > 0 and len(t.values)]
    gains = {
        name: float(found[0])
        for name in in_order(recording, stream, signals.LAYER_GAIN)
        if (found := values(recording, signals.LAYER_GAIN, name)).size
    }
    if not judged or not gains:
        return None
    times = float(judged[0].values[0]) / float(judged[0].chance or 1.0)
    largest = max(gains, key=lambda name: gains[name])
    if times < _FAR_ABOVE_CHANCE or gains[largest] < _LARGE_GAIN:
        return None
    text = _GAIN(layer=layer_of(largest), gain=gains[largest])
    evidence = _evidence(signals.LAYER_GAIN.name, largest, gains[largest], text, _EXPECTED_GAIN())
    return _finding(_LARGE(layer=layer_of(largest), times=times), 0.85, evidence)


def _evidence(signal: str, label: str, value: float, text: Message, expected: Message) -> Evidence:
    return Evidence(text=text, signal=signal, label=label, value=value, expected=expected)


def _finding(title: Message, confidence: float, evidence: Evidence) -> Finding:
    return RULE.finding(title=title, confidence=confidence, evidence=(evidence,), remedy=_REMEDY())


RULE = Rule(
    code="bad-initialisation",
    severity="error",
    title=Text(en="The weights start in a bad place", zh="权重初始化不当"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "dead-units",
        "diverging-loss",
        "exploding-gradient",
        "graph-broken",
        "input-has-no-effect",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "non-finite",
        "plateau-above-floor",
        "saturated-units",
        "vanishing-gradient",
    ),
)


def _planted(alike: tuple[float, ...]) -> Planted:
    return {
        (signals.UNITS_ALIKE, PARAMETERS[1]): every(20, 60, alike),
        (signals.GRADIENT_NORM_PARAMETER, PARAMETERS[1]): every(20, 600, 0.3),
    }


def broken() -> Recording:
    """All weights of the second layer start at 0.1: they move, and stay the same."""
    return record(flat(), series=_planted((0.0, 1e-8, 2e-8)), events=[optimizer()])


def healthy() -> Recording:
    """A last layer of zeros: after one update its rows differ."""
    return record(falling(), series=_planted((0.0, 0.7, 0.7)), events=[optimizer()])
