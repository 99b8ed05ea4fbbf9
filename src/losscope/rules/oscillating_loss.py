"""``oscillating-loss``: the loss no longer falls because the steps are too large to settle.

**What it says.** The model has learnt something, but the loss has stopped falling, and a good part of what it still
stands above its floor is the swinging of the weights about their minimum: smaller steps would take it away.

**Statistic.** About a minimum that is neither approached nor left, ‖θ − θ*‖² is the same before and after an update on
average. For gradient descent this gives an excess of the loss of a quarter of what each update promises, (η/4) ‖g‖² =
−⟨g, Δθ⟩ / 4, whatever the curvature and the noise; with momentum β it lies between that and 1 / (1 − β) times as much,
of which the upper end is taken. Reported where the loss of the last half is not falling, is better than chance, lies
more than a twentieth of the way from floor to chance above the floor, and the excess is 0.3 of that distance or more
(median over at least five samples of that half).

**Source.** Mandt, Hoffman and Blei (2017), *Stochastic Gradient Descent as Approximate Bayesian Inference*, section 4;
Polyak (1987). Runs on labels without a signal at usual rates have promises below a fifth
(``benchmarks/calibration/step_size.py``).

**Example.** SGD at a constant rate of 3 on a small classifier: the loss swings between 0.2 and 1.5 for ever.

**Remedy.** Lower the learning rate, or let it decay: the loss falls within a few updates.

**False alarms.** Silent while the loss falls (at the edge of stability steps may promise more than there is and still
come down), near the floor, at chance (see ``learning-rate-too-high``), on noise of the labels, which no step size
takes away, and on objectives that are trained in alternation.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import loss_curve
from losscope.rules.numbers import readable
from losscope.rules.planted import every, flat, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import learning_rate, promises, remedy_factor
from losscope.rules.streams import line_of, optimizer_groups, updates
from losscope.rules.terms import terms

_LEAST, _SAMPLES, _SHARE, _ABOVE = 100, 5, 0.3, 0.05
_TITLE = Text(
    en="The loss swings about {level} and falls no further{rate}: {share} of it comes from the size of the steps",
    zh="损失在 {level} 附近摆动，不再下降{rate}：其中 {share} 来自步长过大",
)
_EVIDENCE = Text(
    en="updates of the last half promise {ratio:.2g} times the loss above its floor (median of {count} samples), which "
    "at standstill makes an excess of {share}",
    zh="后半程的更新所预期的下降为损失高出下限部分的 {ratio:.2g} 倍（{count} 次采样的中位数），"
    "停滞时相当于多出 {share}",
)
_EXPECTED = Text(en="a small part of it", zh="只占其一小部分")


def judge(recording: Recording) -> Outcome:
    curve = loss_curve(recording, minimum=_LEAST)
    if isinstance(curve, NotJudged):
        return curve
    stream = curve.stream
    promised = promises(recording, stream)
    late = promised.values[promised.steps >= updates(recording, stream) / 2]
    if late.size < _SAMPLES:
        return too_few(int(late.size), _SAMPLES)
    ratio = float(np.median(late))
    found = terms(recording, stream)
    skills = [s for term in found if (s := term.skill()) is not None]
    learnt = any(s.low > 0 for s in skills)
    share = ratio / 4 / (1 - _momentum(recording, stream))
    if share < _SHARE or curve.trend.direction == "falling" or not learnt:
        return []
    half = curve.losses[len(curve.losses) // 2 :]
    level, floor = float(half.mean()), sum(t.coefficient * (t.floor or 0.0) for t in found)
    if curve.known and level - floor < _ABOVE * curve.scale:
        return []
    rate = learning_rate(recording, stream)
    shown = f"{min(100 * share, 100):.0f} %"
    evidence = Evidence(
        text=_EVIDENCE(ratio=ratio, count=late.size, share=shown),
        signal=signals.PROMISED_FALL.name,
        label=stream,
        value=ratio,
        expected=_EXPECTED(),
    )
    title = _TITLE(
        level=readable(level),
        rate=f" ({rate:g})" if rate is not None else "",
        share=shown,
    )
    return [
        RULE.finding(
            title=title,
            confidence=0.75,
            evidence=(evidence,),
            remedy=remedy_factor(rate, 0.1),
            where=line_of(recording, stream, "optimizer"),
        )
    ]


def _momentum(recording: Recording, stream: str) -> float:
    """β of the optimiser's first group: of its momentum, or of Adam's first average."""
    groups = optimizer_groups(recording, stream)
    for group in groups[:1]:
        betas = group.get("betas") or [0.0]
        found = group.get("momentum") or betas[0]
        return float(found) if isinstance(found, int | float) and 0 <= found < 1 else 0.0
    return 0.0


RULE = Rule(
    code="oscillating-loss",
    severity="warning",
    title=Text(en="The loss swings and falls no further", zh="损失摆动，不再下降"),
    judge=judge,
    needs=(signals.LOSS, signals.PROMISED_FALL),
    consequences=("converged", "loss-spikes", "plateau-above-floor"),
)


def broken() -> Recording:
    """A constant rate that is too large: the loss stays at 0.8, and each update promises 1.6."""
    loss = np.concatenate([np.linspace(2.3, 0.8, 60), flat(540, 0.8, 0.3)])
    return record(loss, series={(signals.PROMISED_FALL, "0"): every(10, 600, 1.6)}, events=[optimizer()])


def healthy() -> Recording:
    """Noisy labels: the loss stays at 0.8, whatever the steps, which promise a hundredth of it."""
    loss = np.concatenate([np.linspace(2.3, 0.8, 60), flat(540, 0.8, 0.3)])
    return record(loss, series={(signals.PROMISED_FALL, "0"): every(10, 600, 0.008)}, events=[optimizer()])
