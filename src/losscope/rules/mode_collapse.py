"""``mode-collapse``: whatever the generator is given, it makes the same.

**What it says.** The discriminator gives all generated samples of a batch the same score, although it tells samples
apart otherwise: they are one and the same. Collapse to several modes is not seen by this.

**Statistic.** The standard deviation of the discriminator's outputs over a generated batch, by the largest one in its
own terms (medians over the run): the median over at least five samples of the last half is below 1 %. Independent of
the unit of the data.

**Source.** Goodfellow (2016), *NIPS 2016 Tutorial: Generative Adversarial Networks*, arXiv:1701.00160, section 5.1;
Salimans et al. (2016), arXiv:1606.03498, section 3.2: a collapsed generator shows in the spread of a batch.

**Example.** Noise that is multiplied by 0.001, or a generator that ignores it: 64 equal pictures.

**Remedy.** Look whether the noise reaches the output (its scale, a normalisation over the batch); then let the
discriminator see whole batches (minibatch discrimination), or use a Wasserstein loss with a gradient penalty.

**False alarms.** Silent in the first half, where small initial weights make all outputs alike; where the
discriminator has won (see ``discriminator-wins``); on games without binary cross-entropy.
"""

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.adversarial import late, players
from losscope.rules.discriminator_wins import game
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, values

_SAMPLES, _SAME = 5, 0.01
_TITLE = Text(
    en="The generator makes one and the same sample from any noise",
    zh="无论输入什么噪声，生成器都产生同一个样本",
)
_EVIDENCE = Text(
    en="scores of generated samples spread by {spread:.2g}, those of all samples by {other:.2g} (medians, last half)",
    zh="生成样本得分的标准差为 {spread:.2g}，全部样本为 {other:.2g}（后半程中位数）",
)
_EXPECTED = Text(en="spreads of the same size", zh="两者大小相近")
_REMEDY = Text(
    en="See that the noise reaches the output: G(z1) and G(z2) have to differ; then use minibatch discrimination or a "
    "Wasserstein loss with a gradient penalty.",
    zh="确认噪声能影响输出：G(z1) 与 G(z2) 应不同；再使用小批量判别或带梯度惩罚的 Wasserstein 损失。",
)


def judge(recording: Recording) -> Outcome:
    found = players(recording)
    if found is None:
        return []
    made = late(recording, signals.PREDICTION_STD, found.fooled.label)
    seen = [values(recording, signals.PREDICTION_STD, term.label) for term in found.judged]
    others = [float(np.median(spreads)) for spreads in seen if spreads.size >= _SAMPLES]
    if made.size < _SAMPLES or not others:
        return []
    spread, other = float(np.median(made)), max(others)
    if not spread < _SAME * other:
        return []
    evidence = Evidence(
        text=_EVIDENCE(spread=spread, other=other),
        signal=signals.PREDICTION_STD.name,
        label=found.fooled.label,
        value=spread,
        expected=_EXPECTED(),
    )
    return [
        RULE.finding(
            title=_TITLE(),
            confidence=0.8,
            evidence=(evidence,),
            remedy=_REMEDY(),
            where=line_of(recording, found.generator, "optimizer"),
        )
    ]


RULE = Rule(
    code="mode-collapse",
    severity="warning",
    title=Text(en="The generator has collapsed", zh="生成器已坍缩"),
    judge=judge,
    needs=(signals.LOSS, signals.PREDICTION_STD),
)


def broken() -> Recording:
    """All generated samples get the same score."""
    return game(0.3, 1.8, spread=0.0005, between=5.0)


def healthy() -> Recording:
    """They get scores that spread half as far as those of all samples."""
    return game(0.5, 1.2, spread=1.0, between=2.0)
