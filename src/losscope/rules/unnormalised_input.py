"""``unnormalised-input``: the data go into the first layer with values far from 1, or features of very unequal size.

**What it says.** The model does not learn, and what its first layer multiplies its weights with is so large, so small
or so uneven that no one step size suits all weights.

**Statistic.** Only where the run is not learning. Of the data that reach a first linear layer or convolution without a
normalisation, the root mean square of each feature over the batch (of a convolution: of each channel), in the median
over the sampled updates: the largest above 10 or below 1/1000, or the largest over the smallest of those that vary
above 100 while the largest exceeds 3. The curvature goes with the square: a factor of 10⁴ between directions.

**Source.** LeCun, Bottou, Orr and Müller (1998), *Efficient BackProp*, section 4.3.

**Example.** Images as bytes from 0 to 255; a table with ages and incomes as they are.

**Remedy.** ``(x - mean) / std`` of the training data, for images ``x / 255``; or ``nn.BatchNorm1d`` as the first layer.

**False alarms.** Silent on every run that learns, on images from 0 to 1, one-hot and token inputs, on inputs behind a
normalisation layer, and on features that are constant.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PARAMETERS, Planted, every, falling, flat, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values
from losscope.rules.units import in_order, lasting_deficit, layer_of

_LARGE, _SMALL, _UNEVEN, _UNEVEN_FROM = 10.0, 1e-3, 100.0, 3.0
_TITLE = Text(
    en="The input of {layer} is not normalised: its features measure {low:.2g} to {high:.2g}",
    zh="{layer} 的输入未归一化：各特征的大小从 {low:.2g} 到 {high:.2g}",
)
_EVIDENCE = Text(
    en="root mean square of its features over a batch: {low:.2g} to {high:.2g}",
    zh="各特征在一个批次上的均方根：{low:.2g} 至 {high:.2g}",
)
_EXPECTED = Text(en="about 1 for every feature", zh="每个特征约为 1")
_REMEDY = Text(
    en="Subtract the mean of the training data from every feature and divide by its standard deviation (images: "
    "x / 255).",
    zh="对每个特征减去训练数据的均值并除以标准差（图像：x / 255）。",
)


def judge(recording: Recording) -> Outcome:
    deficit = lasting_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    if deficit is None:
        return []
    stream = main_stream(recording) or "0"
    for name in in_order(recording, stream, signals.INPUT_LARGEST):
        largest = values(recording, signals.INPUT_LARGEST, name)
        smallest = values(recording, signals.INPUT_SMALLEST, name)
        if not largest.size or not np.median(largest) > 0:
            continue
        high = float(np.median(largest))
        low = float(np.median(smallest)) if smallest.size else high
        uneven = high > _UNEVEN * low and high > _UNEVEN_FROM
        if not (high > _LARGE or high < _SMALL or uneven):
            continue
        evidence = Evidence(
            text=_EVIDENCE(low=low, high=high),
            signal=signals.INPUT_LARGEST.name,
            label=name,
            value=high,
            expected=_EXPECTED(),
        )
        title = _TITLE(layer=layer_of(name), low=low, high=high)
        return [RULE.finding(title=title, confidence=0.75, evidence=(evidence,), remedy=_REMEDY())]
    return []


RULE = Rule(
    code="unnormalised-input",
    severity="warning",
    title=Text(en="The input is not normalised", zh="输入未归一化"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "bad-initialisation",
        "dead-units",
        "diverging-loss",
        "exploding-gradient",
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


def _planted(low: float, high: float) -> Planted:
    return {
        (signals.INPUT_LARGEST, PARAMETERS[0]): every(20, 600, high),
        (signals.INPUT_SMALLEST, PARAMETERS[0]): every(20, 600, low),
    }


def broken() -> Recording:
    """Ages and incomes as they are, and a loss that stays at chance."""
    return record(flat(), series=_planted(41.0, 5.2e4), events=[optimizer()])


def healthy() -> Recording:
    """Bytes from 0 to 255, and a model that learns from them all the same."""
    return record(falling(), series=_planted(90.0, 140.0), events=[optimizer()])
