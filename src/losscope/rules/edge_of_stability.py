"""``edge-of-stability``: the steps are as large as the curvature allows, and training goes on all the same.

**What it says.** Successive gradients point against each other nearly exactly, while the loss has fallen: the largest
curvature has grown to about 2 / learning rate, where full-batch gradient descent settles by itself. No fault.

**Statistic.** Median cosine between the gradients of successive updates below −0.8 over at least five samples of the
last half, where the loss has fallen and there is no deficit of learning. On a quadratic of curvature λ the gradient is
multiplied by 1 − ηλ at each update; under gradient noise about a minimum the cosine is −ηλ/2 on average over the
directions, so that −0.8 means an ηλ of 1.6 and more.

**Source.** Cohen et al. (2021), *Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability*,
arXiv:2103.00065.

**Example.** Full-batch gradient descent with a rate of 0.1 on a small network: λmax rises to 20 and stays there.

**Remedy.** None is needed. A smaller rate makes the path smooth, and longer.

**False alarms.** Context only, never a complaint; silent where nothing is learnt (see ``learning-rate-too-high``).
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import has_fallen
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import every, falling, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import learning_rate
from losscope.rules.streams import losses, progress, updates

_SAMPLES, _COSINE = 5, -0.8
_TITLE = Text(
    en="Training runs at the edge of stability{rate}: successive gradients are opposite, and the loss falls",
    zh="训练处于稳定性边缘{rate}：相邻梯度方向相反，而损失仍在下降",
)
_EVIDENCE = Text(
    en="cosine between successive gradients in the last half: {cosine:.2f} (median of {count})",
    zh="后半程相邻梯度的余弦：{cosine:.2f}（{count} 次的中位数）",
)
_EXPECTED = Text(en="about 0 where noise decides", zh="由噪声主导时约为 0")
_REMEDY = Text(en="No change is needed.", zh="无需更改。")


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    series = recording.series(signals.ALIGNMENT, stream)
    late = series.values[(series.steps >= updates(recording, stream) / 2) & np.isfinite(series.values)]
    if late.size < _SAMPLES:
        return too_few(int(late.size), _SAMPLES)
    cosine = float(np.median(late))
    if cosine > _COSINE or learning_deficit(recording) is not None:
        return []
    if not has_fallen(losses(recording, stream)):
        return []
    rate = learning_rate(recording, stream)
    evidence = Evidence(
        text=_EVIDENCE(cosine=cosine, count=late.size),
        signal=signals.ALIGNMENT.name,
        label=stream,
        value=cosine,
        expected=_EXPECTED(),
    )
    title = _TITLE(rate=f" ({rate:g})" if rate is not None else "")
    return [RULE.finding(title=title, confidence=0.8, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="edge-of-stability",
    severity="info",
    title=Text(en="Training runs at the edge of stability", zh="训练处于稳定性边缘"),
    judge=judge,
    needs=(signals.LOSS, signals.ALIGNMENT),
)


def broken() -> Recording:
    """Full-batch gradient descent: gradients alternate, the loss falls."""
    return record(falling(noise=0.02), series={(signals.ALIGNMENT, "0"): every(20, 600, -0.95)})


def healthy() -> Recording:
    """Batches: the noise of successive gradients is independent."""
    return record(falling(), series={(signals.ALIGNMENT, "0"): every(20, 600, -0.1)})
