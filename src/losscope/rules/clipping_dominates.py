"""``clipping-dominates``: clipping makes every update so small that the model hardly learns.

**What it says.** Nearly every gradient is clipped, by a large factor, and that is why the weights hardly move.

**Statistic.** All must hold after at least 100 updates: 95 % of the norms exceed the limit, their median by a factor of
10 or more; the path length (mean ‖Δθ‖/‖θ‖ × updates) is below 0.1, and would be 0.1 or more with that factor; the
model has hardly learnt (see ``learning-rate-too-low``).

**Source.** Pascanu et al. (2013), arXiv:1211.5063, section 3.2: the limit belongs at the usual norm, from half of it
to ten times it.

**Example.** SGD with ``clip_grad_norm_(model.parameters(), 1e-3)`` where norms are about 1: a learning rate a
thousandth of the one that was set.

**Remedy.** Raise the limit to the usual norm, which is told, or leave clipping out.

**False alarms.** Silent on clipping that acts always in a run that learns, and under adaptive optimisers, whose
updates do not shrink with the gradient: only measured updates count.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import every, falling, flat, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import has_hardly_learnt
from losscope.rules.streams import events_of, line_of, progress, updates, values, where

_ALWAYS, _FACTOR, _PATH = 0.95, 10.0, 0.1
_TITLE = Text(
    en="Clipping to {limit:g} makes the gradient {factor:.2g} times smaller at nearly every update",
    zh="裁剪到 {limit:g} 使几乎每次更新的梯度缩小 {factor:.2g} 倍",
)
_EVIDENCE = Text(
    en="{percent:.0f} % of the norms exceed the limit, their median is {norm:.3g}; {updates} updates move the weights "
    "by {path:.2g} at most",
    zh="{percent:.0f}% 的范数超过上限，中位数为 {norm:.3g}；{updates} 次更新最多使权重移动 {path:.2g}",
)
_EXPECTED = Text(en="a limit near the usual norm", zh="上限应接近通常的范数")
_REMEDY = Text(
    en="Set max_norm={new:.2g} in place of {old:g}, or leave clipping out.",
    zh="把 max_norm 从 {old:g} 改为 {new:.2g}，或不做裁剪。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording, minimum=100)
    if isinstance(stream, NotJudged):
        return stream
    norms, limits = (values(recording, s, stream) for s in (signals.CLIP_NORM, signals.CLIP_LIMIT))
    ratios = values(recording, signals.UPDATE_RATIO, stream)
    if norms.size < 20 or norms.size != limits.size or ratios.size < 3 or not limits.min() > 0:
        return []
    factors = norms / limits
    always, factor = float(np.mean(factors > 1)), float(np.median(factors))
    seen = updates(recording, stream)
    path = float(ratios[1:].mean()) * seen
    if always < _ALWAYS or factor < _FACTOR or not path < _PATH <= path * factor:
        return []
    if not has_hardly_learnt(recording, stream):
        return []
    norm, limit = float(np.median(norms)), float(np.median(limits))
    evidence = Evidence(
        text=_EVIDENCE(percent=100 * always, norm=norm, updates=seen, path=path),
        signal=signals.CLIP_NORM.name,
        label=stream,
        value=factor,
        expected=_EXPECTED(),
    )
    told = (where(e) for e in events_of(recording, "clip"))
    return [
        RULE.finding(
            title=_TITLE(limit=limit, factor=factor),
            confidence=0.9,
            evidence=(evidence,),
            remedy=_REMEDY(new=norm, old=limit),
            where=next(told, None) or line_of(recording, stream, "optimizer"),
        )
    ]


RULE = Rule(
    code="clipping-dominates",
    severity="error",
    title=Text(en="Clipping dominates", zh="梯度裁剪占主导"),
    judge=judge,
    needs=(signals.LOSS, signals.CLIP_NORM, signals.CLIP_LIMIT, signals.UPDATE_RATIO),
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor"),
)


def _clipped(norm: float, limit: float, ratio: float) -> dict:
    return {
        (signals.CLIP_NORM, "0"): every(1, 600, norm),
        (signals.CLIP_LIMIT, "0"): every(1, 600, limit),
        (signals.UPDATE_RATIO, "0"): every(20, 600, ratio),
        (signals.GRADIENT_NORM, "0"): every(20, 600, min(norm, limit)),
        (signals.LEARNING_RATE, "0/0"): every(600, 600, 0.1),
    }


def broken() -> Recording:
    """Norms of about 1 clipped to a thousandth: updates of a millionth of the weights."""
    return record(flat(), series=_clipped(1.0, 1e-3, 1e-5), events=[optimizer()])


def healthy() -> Recording:
    """A recurrent network: always clipped, by a factor of twenty, and the loss falls."""
    return record(falling(), series=_clipped(10.0, 0.5, 1e-3), events=[optimizer()])
