"""``discriminator-wins``: the discriminator tells real from generated perfectly, and the generator learns nothing.

**What it says.** For the whole second half of the run the discriminator has made next to no errors, while it gave the
generated samples a probability of less than 1 % of being real: its score says *wrong*, and no longer *in which way*.

**Statistic.** Medians over the last half, after at least 100 updates of both: the discriminator's binary cross-entropy
is below a twentieth of ln 2, that of a coin; and the generator's −ln D(G(z)) is above −ln 0.01 = 4.6.

**Source.** Arjovsky and Bottou (2017), *Towards Principled Methods for Training Generative Adversarial Networks*,
arXiv:1701.04862, theorem 2.4: before a perfect discriminator the gradient of the generator vanishes. Goodfellow et al.
(2014), arXiv:1406.2661: at the equilibrium both stand at ln 2 per sample.

**Example.** A discriminator with five times the generator's learning rate: its loss is 0.001, that of the generator 12.

**Remedy.** Slow the discriminator down (a lower rate, fewer updates, smoothed labels of 0.9, noise on its inputs), or
use a Wasserstein loss with a gradient penalty.

**False alarms.** Silent on games that are lost for a while only, on critics without a logarithm (Wasserstein, hinge),
and on two models that are trained side by side on labels that vary.
"""

import math

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.adversarial import late, players
from losscope.rules.planted import Planted, PlantedTerm, every, falling, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of

_COIN, _PERFECT, _LOST = math.log(2), 0.05, -math.log(0.01)
_TITLE = Text(
    en="The discriminator wins: its loss is {judge:.2g}, and it gives generated samples a probability of {chance:.1g}",
    zh="判别器完胜：其损失为 {judge:.2g}，它认为生成样本为真的概率仅 {chance:.1g}",
)
_EVIDENCE = Text(
    en="medians of the last half: {judge:.3g} of a coin's loss for the discriminator; −ln D(G(z)) = {fooled:.3g}",
    zh="后半程中位数：判别器损失为随机猜测的 {judge:.3g} 倍；−ln D(G(z)) = {fooled:.3g}",
)
_EXPECTED = Text(en="both near ln 2 = 0.69 per sample", zh="两者每个样本都接近 ln 2 = 0.69")
_REMEDY = Text(
    en="Slow the discriminator down (divide its learning rate by 4, or smooth its labels to 0.9), or use a Wasserstein "
    "loss with a gradient penalty.",
    zh="放慢判别器（学习率除以 4，或把标签平滑到 0.9），或使用带梯度惩罚的 Wasserstein 损失。",
)


def judge(recording: Recording) -> Outcome:
    found = players(recording)
    if found is None:
        return []
    judged = late(recording, signals.LOSS, found.discriminator)
    fooled = late(recording, signals.LOSS, found.generator)
    weight = sum(abs(term.coefficient) for term in found.judged)
    if not judged.size or not fooled.size or weight <= 0:
        return []
    share = float(np.median(judged)) / weight / _COIN
    lost = float(np.median(late(recording, signals.TERM_VALUE, found.fooled.label)))
    if not (share < _PERFECT and lost > _LOST):
        return []
    evidence = Evidence(
        text=_EVIDENCE(judge=share, fooled=lost),
        signal=signals.LOSS.name,
        label=found.generator,
        value=lost,
        expected=_EXPECTED(),
    )
    return [
        RULE.finding(
            title=_TITLE(judge=float(np.median(judged)), chance=math.exp(-lost)),
            confidence=0.85,
            evidence=(evidence,),
            remedy=_REMEDY(),
            where=line_of(recording, found.discriminator, "optimizer"),
        )
    ]


RULE = Rule(
    code="discriminator-wins",
    severity="warning",
    title=Text(en="The discriminator wins", zh="判别器完胜"),
    judge=judge,
    needs=(signals.LOSS, signals.TARGET_MEAN),
    consequences=("mode-collapse", "vanishing-gradient"),
)


def game(judge: float, fooled: float, spread: float = 0.3, between: float = 0.3) -> Recording:
    """600 updates of each player: its loss, and the spread of the scores of generated and of all samples."""
    kind = "binary_cross_entropy_with_logits"
    judging, fooling = judge * falling(600, 1.0, 1.0), fooled * falling(600, 1.0, 1.0, seed=1)
    series: Planted = {
        (signals.LOSS, "1"): every(1, 600, fooling),
        (signals.TERM_VALUE, "1/0"): every(20, 600, fooling[::20]),
    }
    for label, low, mean, deviation, std in (("0/0", 0.0, 0.5, 0.5, between), ("1/0", 1.0, 1.0, 0.0, spread)):
        series[signals.TARGET_MIN, label] = every(20, 600, low)
        series[signals.TARGET_MAX, label] = every(20, 600, 1.0)
        series[signals.TARGET_MEAN, label] = every(20, 600, mean)
        series[signals.TARGET_STD, label] = every(20, 600, deviation)
        series[signals.PREDICTION_STD, label] = every(20, 600, std)
    term = PlantedTerm(kind=kind, floor=None)
    other = dict(record(fooling, terms=[term]).events_of("anatomy")[0]) | {"stream": "1"}
    return record(judging, terms=[term], series=series, events=[optimizer(), other])


def broken() -> Recording:
    """The discriminator is always right, and the generator's loss is 12."""
    return game(0.001, 12.0)


def healthy() -> Recording:
    """A game near its equilibrium."""
    return game(0.62, 0.9)
